"""The host: everything on a node that runs its replicas together, in rounds.

Reading order: requests, log_records, log_store, meta_machine, replica, host, then stewardship (who
should lead) and status.
"""
