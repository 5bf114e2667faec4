"""Tables of users: one reader of files and one rule of what a cell is, for facts, scores, curves and page lists."""

from recollect.core.tables.cells import CellError as CellError
from recollect.core.tables.cells import cell_list as cell_list
from recollect.core.tables.cells import cell_text as cell_text
from recollect.core.tables.cells import float_column as float_column
from recollect.core.tables.files import BAD_ROWS as BAD_ROWS
from recollect.core.tables.files import MAX_FILE as MAX_FILE
from recollect.core.tables.files import BadRow as BadRow
from recollect.core.tables.files import BadRows as BadRows
from recollect.core.tables.files import BadRowsFound as BadRowsFound
from recollect.core.tables.files import BadRowsMode as BadRowsMode
from recollect.core.tables.files import RowError as RowError
from recollect.core.tables.files import decode as decode
from recollect.core.tables.files import digest as digest
from recollect.core.tables.files import read_bytes as read_bytes
from recollect.core.tables.formats import check_value as check_value
from recollect.core.tables.formats import load_json as load_json
from recollect.core.tables.formats import read_own as read_own
from recollect.core.tables.part import PART_WORDS as PART_WORDS
from recollect.core.tables.part import part_by_name as part_by_name
from recollect.core.tables.table import ENDINGS as ENDINGS
from recollect.core.tables.table import Row as Row
from recollect.core.tables.table import Table as Table
from recollect.core.tables.table import check_ending as check_ending
from recollect.core.tables.table import read_rows as read_rows
from recollect.core.tables.table import read_table as read_table
