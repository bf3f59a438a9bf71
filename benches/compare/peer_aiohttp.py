"""A loop on aiohttp: peer_aiohttp.py URL ROWS CONCURRENCY

So many tasks, one session; each body is made by the standard library's json, each answer is read to its end.
"""

import asyncio
import json
import sys

import aiohttp

TEMPLATE = "a039b4d0-5ce8-4eff-8651-181c6576fda3"
TAG = "[cmb:ABCDEFGHIJKLMNOPQRSTUVWX-ABCDEFGH]"


async def work(session, url, rows):
    for row in rows:
        body = json.dumps({"datacollection": [], "type": "Enroll", "profiletemplateuuid": TEMPLATE,
                           "target": f"{row:08x}-0000-4000-8000-000000000000", "comment": TAG})
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 201
            assert len(await answer.read()) > 36


async def main(url, n_rows, concurrency):
    rows = iter(range(1, n_rows + 1))
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        # All tasks take from one iterator, so that a slow one holds nobody up.
        await asyncio.gather(*(work(session, url, rows) for _ in range(concurrency)))
    print(n_rows)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
