"""gRPC: the services of a node, and the streams to its peers.

Reading order: checks (what a command must keep), batch (a call's sections), kv_service, key_calls
(plain operations), admin_service, peer_service, peer_transport, server.
"""
