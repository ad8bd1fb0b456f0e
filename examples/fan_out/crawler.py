"""Index what a page links to: one child for each link, on a queue, and a sum at the end."""

from collections.abc import Iterable

from dbos import DBOS

SITE = {
    "/": ["/shop", "/help", "/about"],
    "/shop": ["/", "/help"],
    "/help": [],
    "/about": ["/"],
}


def register_queues() -> None:
    """Register the queue. `main` calls this after `DBOS.launch()`."""
    DBOS.register_queue("pages", concurrency=2)


@DBOS.step()
async def read_links(page: str) -> list[str]:
    return SITE[page]


@DBOS.workflow()
async def index_page(page: str) -> int:
    return len(await read_links(page))


async def index_all(pages: Iterable[str]) -> int:
    handles = [await DBOS.enqueue_workflow_async("pages", index_page, page) for page in pages]
    return sum([await handle.get_result() for handle in handles])


@DBOS.workflow()
async def index_links(page: str) -> int:
    return await index_all(set(await read_links(page)))


@DBOS.workflow()
async def index_sorted_links(page: str) -> int:
    return await index_all(sorted(set(await read_links(page))))
