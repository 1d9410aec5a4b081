"""gRPC: the services of a node, and the streams to its peers.

Reading order: batch (a call's sections), kv_service, admin_service, peer_service, peer_transport,
server.
"""
