"""A local page of an experiment that runs, or has run: `recollect watch DIR`. Needs the extra `watch`."""

from recollect.watch.once import write_once as write_once
