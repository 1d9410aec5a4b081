"""What a client has seen, as a token that others can go on from."""

from __future__ import annotations

from cluster.ids import PartitionId
from kvstore.client.switchboard import Switchboard
from kvstore.codec.byteslist import CodecError
from kvstore.codec.session_token import decode_session_token, encode_session_token
from kvstore.errors import InvalidArgument


def token_of(board: Switchboard | None) -> str:
    """A token of all that the client has seen; None: it has not begun, and has seen nothing."""
    if board is None or board.routes is None:
        return encode_session_token("", {})
    seen = {partition: index for partition, index in enumerate(board.floors) if index}
    return encode_session_token(board.routes.map.cluster_id, seen)


def merge_token(board: Switchboard, token: object) -> None:
    """Raises what the client has seen to what the token says; raises InvalidArgument where it is no
    token of the board's cluster."""
    if not isinstance(token, str):
        raise InvalidArgument(f"token must be a str, not {type(token).__name__}")
    try:
        cluster_id, seen = decode_session_token(token)
    except CodecError as problem:
        raise InvalidArgument(f"the session token cannot be used: {problem}") from problem
    if not seen:
        return
    own = board.known_routes.map.cluster_id
    if cluster_id != own:
        raise InvalidArgument(f"the session token is of cluster {cluster_id}, not of {own}")
    if max(seen) >= board.partitions:
        raise InvalidArgument(
            f"the session token names partition {max(seen)}; there are {board.partitions}"
        )
    for partition, index in seen.items():
        board.floors[partition] = max(board.floors[PartitionId(partition)], index)
