-- What to do with an exception in a worker: the two ways that are left in practice, after "Using IOCP for Worker
-- Threads".
--
--   lua examples/exceptions.lua log      Logs the exception, tells the user, and goes on: hope for the best. Exit
--                                        code 0.
--   lua examples/exceptions.lua raise    Resurfaces it in the main thread, which ends the program: something could
--                                        have gone horribly wrong, and what goes on may damage data. Exit code 1.
local iocp = require "iocp"

local way = arg[1]
if way ~= "log" and way ~= "raise" then
  io.stderr:write("usage: lua examples/exceptions.lua log | raise\n")
  os.exit(2)
end

-- Orders, two of which no program expected.
local orders = { "12 pens", "3 books", "seven lamps", "1 chair", "40 cups", "0 tables", "5 rugs", "9 nails" }

-- Runs in the workers. Neither error is looked for here: they are the bugs of this program.
local function pack(order)
  local number, what = order:match("(%d+) (%a+)")
  local boxes = {}
  for i = 1, number do -- without a number an error: nil
    boxes[i] = what
  end
  return boxes[1]:upper(), #boxes -- and one without boxes
end

io.stdout:setvbuf("line") -- so that what is logged stands where it happened
local pool = assert(iocp.Pool {
  workers = 2,
  name = "orders",
  on_error = way,
  -- For "log". Runs in the worker; the default is to write the text, which has a traceback, to standard error.
  logger = function(text)
    io.stderr:write("logged: ", text:match("[^\n]*"), "\n")
  end,
})

local tasks = {}
for i, order in ipairs(orders) do
  print("submit " .. order)
  -- With "raise", whatever failed until now is raised by this call, or the next one, and at the latest by shutdown.
  tasks[i] = assert(pool:submit(pack, order))
  iocp.sleep(20) -- orders come in one by one
end
assert(pool:shutdown())

-- With "raise" nothing comes here.
local boxes = 0
for i, order in ipairs(orders) do
  local ok, what, count = tasks[i]:result()
  boxes = boxes + (ok and count or 0)
  print(("%-12s %s"):format(order, ok and count .. " x " .. what or "failed, see the log"))
end
local stats = pool:stats()
print(("%d orders packed in %d boxes, %d failed"):format(stats.completed, boxes, stats.failed))
assert(stats.completed == 6 and stats.failed == 2 and boxes == 70)
