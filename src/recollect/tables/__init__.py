"""Tables of users: one reader of files and one rule of what a cell is, for facts, scores, curves and page lists."""

from recollect.tables._bad_rows import BAD_ROWS as BAD_ROWS
from recollect.tables._bad_rows import BadRow as BadRow
from recollect.tables._bad_rows import BadRows as BadRows
from recollect.tables._bad_rows import BadRowsMode as BadRowsMode
from recollect.tables._bad_rows import RowError as RowError
from recollect.tables._cells import CellError as CellError
from recollect.tables._cells import cell_list as cell_list
from recollect.tables._cells import cell_text as cell_text
from recollect.tables._cells import float_column as float_column
from recollect.tables._files import MAX_FILE as MAX_FILE
from recollect.tables._files import decode as decode
from recollect.tables._files import digest as digest
from recollect.tables._files import read_bytes as read_bytes
from recollect.tables._json import check_value as check_value
from recollect.tables._json import load_json as load_json
from recollect.tables._parquet import read_own as read_own
from recollect.tables._table import ENDINGS as ENDINGS
from recollect.tables._table import Row as Row
from recollect.tables._table import Table as Table
from recollect.tables._table import check_ending as check_ending
from recollect.tables._table import read_rows as read_rows
from recollect.tables._table import read_table as read_table
