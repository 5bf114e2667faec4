"""The pocket shop: a synthetic world of shops, and a small base model that copies from its context."""

from recollect.pocket.shop._build import ShopSettings as ShopSettings
from recollect.pocket.shop._facts import shop_facts as shop_facts
from recollect.pocket.shop._facts import shop_pages as shop_pages
from recollect.pocket.shop._page import page_html as page_html
from recollect.pocket.shop._page import page_text as page_text
from recollect.pocket.shop._step import ShopResult as ShopResult
from recollect.pocket.shop._step import run_shop as run_shop
from recollect.pocket.shop._world import ATTRIBUTES as ATTRIBUTES
from recollect.pocket.shop._world import Product as Product
from recollect.pocket.shop._world import Shop as Shop
from recollect.pocket.shop._world import make_product as make_product
from recollect.pocket.shop._world import make_shop as make_shop
