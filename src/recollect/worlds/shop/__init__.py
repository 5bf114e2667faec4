"""The pocket shop: a synthetic world of shops, and a small base model that copies from its context."""

from recollect.worlds.shop.page import page_html as page_html
from recollect.worlds.shop.page import page_text as page_text
from recollect.worlds.shop.page import shop_facts as shop_facts
from recollect.worlds.shop.page import shop_pages as shop_pages
from recollect.worlds.shop.step import ShopResult as ShopResult
from recollect.worlds.shop.step import ShopSettings as ShopSettings
from recollect.worlds.shop.step import run_shop as run_shop
from recollect.worlds.shop.world import ATTRIBUTES as ATTRIBUTES
from recollect.worlds.shop.world import Product as Product
from recollect.worlds.shop.world import Shop as Shop
from recollect.worlds.shop.world import make_product as make_product
from recollect.worlds.shop.world import make_shop as make_shop
