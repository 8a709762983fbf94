"""A long body, cut into pieces as it comes: one of them is in memory, however long the whole is.

Nothing more is read while a piece is being put away, so a client sends as fast as the pieces are taken, and its own
time is what counts: half a minute between two of its packets, and some KB in each second of waiting for it.
"""

import asyncio
from collections.abc import AsyncIterator

from dripstone.errors import BadRequest, TooSlow
from dripstone.front import bodies, sizes

PIECE = 250 * sizes.KB  # a row of the database each; larger ones leave holes in the memory of a process

# It costs no thread to wait for a file, so people may send it over any line.
PAUSE_SECONDS = 30.0
GRACE_SECONDS = 60.0
BYTES_PER_SECOND = 4_000


async def coming(receive: bodies.Receive, length: int | None) -> AsyncIterator[bytes]:
    """What comes, packet by packet. Raises Gone, TooSlow, and BadRequest for one in too many small packets.

    length   what Content-Length says; None when the body comes in chunks
    """
    loop = asyncio.get_running_loop()
    n_bytes, n_packets, waited = 0, 0, 0.0
    while n_bytes != length:
        begun = loop.time()
        left = GRACE_SECONDS + n_bytes / BYTES_PER_SECOND - waited
        try:
            async with asyncio.timeout(min(PAUSE_SECONDS, left)):
                message = await receive()
        except TimeoutError:
            raise TooSlow("The file did not arrive in time") from None
        if message["type"] == "http.disconnect":
            raise bodies.Gone
        waited += loop.time() - begun
        n_bytes, n_packets = n_bytes + len(message["body"]), n_packets + 1
        if n_packets > bodies.MOST_PIECES + n_bytes // bodies.BYTES_PER_PIECE:
            raise BadRequest("The file comes in too many small pieces")
        yield message["body"]
        if not message["more_body"]:
            return


async def cut(packets: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces of one size, the last one smaller; none of nothing."""
    held = bytearray()
    async for packet in packets:
        held += packet
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    if held:
        yield bytes(held)
