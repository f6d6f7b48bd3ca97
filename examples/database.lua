-- Workers that have a database connection of their own each: opened once, by init, and not once a query.
--
--   lua examples/database.lua [CUSTOMERS]     6; needs LuaSQL for SQLite (Debian: lua-sql-sqlite3)
local iocp = require "iocp"
if not pcall(require, "luasql.sqlite3") then
  print("LuaSQL for SQLite is not here: it is Debian's lua-sql-sqlite3")
  return
end

local customers = tonumber(arg[1]) or 6
local path = os.tmpname()

-- Called first in each worker, and here. What it returns stays in its thread.
local function open()
  local environment = require("luasql.sqlite3").sqlite3()
  local connection = assert(environment:connect(path))
  return { environment = environment, connection = connection }
end

local function close(database)
  database.connection:close()
  database.environment:close()
end

local here = open()
assert(here.connection:execute("create table sales (customer integer, amount integer)"))
for sale = 1, customers * 10 do
  assert(here.connection:execute(("insert into sales values (%d, %d)"):format(sale % customers + 1, sale)))
end
close(here)

local pool = assert(iocp.Pool { workers = 2, init = open, fini = close })

-- worker = true: called with what init returned in this worker, before the item.
local total = { worker = true, body = function(database, customer)
  local cursor = assert(database.connection:execute(
    ("select sum(amount) from sales where customer = %d"):format(customer)))
  local amount = cursor:fetch()
  cursor:close()
  return tonumber(amount)
end }

local list = {}
for customer = 1, customers do
  list[customer] = customer
end
for customer, amount in ipairs(pool:map(list, total, { index = false })) do
  print(("customer %d bought for %d"):format(customer, amount))
end
pool:shutdown() -- fini closes the connections
os.remove(path)
