-- Wrong use is told to who is to blame: by the line of the script that called the module, and by the name of what it
-- called there, whatever that calls in turn; in fibers, too, and wherever the scheduler was loaded.
local iocp = require "iocp"

-- What is wrong with what a call of `name` raised: nil, or the message. The call stands in line 1 of "blame".
local function trouble_of(name, message)
  local text = tostring(message):match("^[^\n]*")
  local method = text:match("bad argument .- to '([^']*)'") or text:match("calling '([^']*)' on bad self")
  local is_named = method == name or method == nil and not text:find("bad argument", 1, true)
  return not (text:find("^blame:1: ") and is_named) and text or nil
end

-- Rows of { what is called, code }, where `given` has the objects. Returns what is wrong with them, a list.
local function try_rows(rows, given)
  local load_text, troubles = rawget(_G, "loadstring") or load, {}
  for _, row in ipairs(rows) do
    local name, code = row[1], row[2]
    local chunk = assert(load_text("local o, iocp = ... local r = " .. code .. " return r", "=blame"))
    local ok, message = pcall(chunk, given, require "iocp")
    local trouble = ok and "was taken" or trouble_of(name, message)
    if trouble then
      troubles[#troubles + 1] = code .. ": " .. trouble
    end
  end
  return troubles
end

local PLAIN = { -- which need no scheduler
  { "submit", "o.pool.submit('f')" }, { "submit", "o.pool:submit({ 1 })" }, { "submit", "o.pool:submit(nil)" },
  { "submit", "o.pool:submit('x = = 1')" }, { "post", "o.pool.post('f')" }, { "post", "o.pool:post({ 1 })" },
  { "submit_after", "o.pool:submit_after(5, {})" }, { "submit_every", "o.pool:submit_every(5, {})" },
  { "task", "o.pool:task({})" }, { "map", "o.pool:map(pairs({}), 'f')" }, { "map", "o.pool:map({}, { timeout = 1 })" },
  { "reduce", "o.pool:reduce({}, 1)" }, { "shutdown", "o.pool:shutdown('1')" }, { "shutdown", "o.pool.shutdown()" },
  { "receive", "o.port.receive(1)" }, { "receive", "o.port:receive('1')" }, { "dequeue", "o.port.dequeue()" },
  { "receive_many", "o.port:receive_many()" }, { "packets", "o.port.packets(1)" }, { "wait", "o.atomic:wait('0')" },
  { "wait", "o.atomic:wait()" }, { "wait", "o.atomic:wait(0, '1')" }, { "wait", "o.atomic.wait(0)" },
  { "send", "o.limited.send('x')" }, { "enqueue", "o.limited.enqueue('x')" }, { "enqueue", "o.limited:enqueue('x')" },
  { "enqueue_many", "o.limited:enqueue_many(1)" }, { "sleep", "iocp.sleep('1')" }, { "sleep", "iocp:sleep(1)" },
  { "join", "o.thread.join()" }, { "join", "o.thread:join('1')" }, { "wait", "o.lookup:wait('1')" },
  { "wait", "o.task.wait()" }, { "wait", "o.task:wait('1')" }, { "get_or_set", "o.dict:get_or_set(10, print)" },
  { "get_or_set", "o.dict:get_or_set('k', 1)" }, { "update", "o.dict:update(10, print)" },
  { "update", "o.dict:update('k', 1)" }, { "view", "o.array:view({})" }, { "view", "o.array.view('x')" },
  { "view", "o.array:view(3, 1)" }, { "Pool", "iocp.Pool('x')" }, { "Pool", "iocp:Pool()" },
  { "pairs", "iocp.pairs(10)" }, { "ipairs", "iocp.ipairs()" },
}

local function new_objects()
  local core = require "iocp"
  local pool = core.Pool(1)
  return { pool = pool, port = core.IOCompletionPort(), limited = core.IOCompletionPort { capacity = 3 },
    atomic = core.Atomic(), thread = core.Thread(""), lookup = core.resolve("127.0.0.1"), task = pool:submit(""),
    dict = core.Dict(), array = core.Array("uint8", 3) }
end

local WITH_SCHEDULER = {
  { "spawn", "iocp.spawn()" }, { "spawn_after", "iocp.spawn_after(print, 10)" },
  { "spawn_after", "iocp.spawn_after(10, {})" }, { "spawn_every", "iocp.spawn_every(print, 10)" },
  { "spawn_every", "iocp.spawn_every(0, print)" }, { "within", "iocp.within('x', print)" },
  { "within", "iocp.within(5, 5)" }, { "open_file", "iocp.open_file('x', 'rw')" },
  { "read_file", "iocp.read_file({})" },
  { "write_file", "iocp.write_file({}, '')" }, { "write_file", "iocp.write_file('x', {})" },
  { "write_file", "iocp.write_file('x', '', 'rw')" }, { "datagram", "iocp.datagram({})" },
  { "datagram", "iocp.datagram('127.0.0.1', {})" }, { "read", "o.file:read('n')" }, { "read", "o.file:read('*all')" },
  { "read", "o.stream:read({})" }, { "read", "o.stream.read('x')" }, { "write", "o.file.write('x')" },
  { "lines", "o.file.lines('x')" }, { "send", "o.datagram:send('x', {})" }, { "send", "o.datagram:send('x')" },
  { "option", "o.datagram:option({})" }, { "accept", "o.server:accept('x')" }, { "stop", "o.service:stop('x')" },
  { "signal", "o.condition:signal({})" }, { "signal", "o.condition.signal('x')" }, { "wait", "o.condition.wait('x')" },
  { "broadcast", "o.condition.broadcast()" }, { "wait_any", "iocp.wait_any({})" }, { "wait_all", "iocp.wait_all(1)" },
  { "as_completed", "iocp.as_completed({ 1 })" }, { "connect", "iocp.connect('localhost:80', 80)" },
  { "listen", "iocp.listen({})" }, { "serve", "iocp.serve({ port = 'x' })" }, { "imap", "o.pool:imap(1, print)" },
  { "scope", "o.pool:scope(1)" }, { "run", "iocp.run(1)" }, { "run", "iocp.run({ mian = print })" },
}

local function new_streams()
  local objects = new_objects()
  objects.server = iocp.listen("127.0.0.1")
  objects.stream, objects.file = iocp.connect(objects.server:address()), iocp.open_file("spec/blame_spec.lua")
  objects.datagram, objects.condition = iocp.datagram("127.0.0.1"), iocp.Condition()
  objects.service = iocp.serve { host = "127.0.0.1", workers = 1, handler = function() end }
  return objects
end

-- ---- everything ----------------------------------------------------------------------------------------------------

local WRONG = { {}, -1.5, coroutine.create(function() end) } -- what next to nothing takes

local TAKE_ANYTHING = {} -- or nothing
for name in ("Condition Atomic Frozen thaw describe process pair pipe"):gmatch "%S+" do
  TAKE_ANYTHING[name] = true
end

local NOT_CALLED_WELL = {} -- with the right self: what would end an object, or wait
for name in ("close destroy shutdown stop kill wait lock unlock"):gmatch "%S+" do
  NOT_CALLED_WELL[name] = true
end

local LOAD = rawget(_G, "loadstring") or load
local troubles

-- Calls in a chunk of its own, also as a tail call of a function there. Whether it was refused.
local function try(name, call, ...)
  local refused = false
  for _, form in ipairs { "local o, a, b = ... local r = %s return r", "local function f(o, a, b) return %s end "
    .. "local r = f(...) return r" } do
    local ok, message = pcall(assert(LOAD(form:format(call), "=blame")), ...)
    -- Taken, and it waits, which nothing can do in a pcall of PUC Lua 5.1.
    ok = ok or type(message) == "string" and message:find("attempt to yield across", 1, true) ~= nil
    refused = refused or not ok
    local trouble = not ok and trouble_of(name, message)
    if trouble then
      troubles[#troubles + 1] = call .. ": " .. trouble
    end
  end
  return refused
end

local function try_arguments(name, call, object, first)
  local refused = false
  for _, wrong in ipairs(WRONG) do
    refused = try(name, call:format("a"), object, wrong) or refused
    refused = try(name, call:format("a, b"), object, first, wrong) or refused
  end
  return refused
end

local function try_functions(list, names)
  for name in names:gmatch "%S+" do
    local was_refused = try(name, ("o.%s()"):format(name), list)
    for _, first in ipairs { 1, "k", function() end } do
      was_refused = try_arguments(name, ("o.%s(%%s)"):format(name), list, first) or was_refused
    end
    if not was_refused and not TAKE_ANYTHING[name] then
      troubles[#troubles + 1] = name .. " refuses nothing"
    end
  end
end

local function try_methods(object)
  local metatable = getmetatable(object)
  local methods = type(object) == "userdata" and package.loaded["iocp.methods"][metatable.__name] or metatable.__index
  for name, method in pairs(methods) do
    if type(method) == "function" and not name:find("^__") then
      if not try(name, ("o.%s('notself')"):format(name), object) then
        troubles[#troubles + 1] = ("%s:%s takes any self"):format(tostring(object), name)
      end
      for _, first in ipairs(NOT_CALLED_WELL[name] and {} or { 1, "k" }) do
        try_arguments(name, ("o:%s(%%s)"):format(name), object, first)
      end
    end
  end
end

local function try_everything()
  troubles = {}
  try_functions(iocp, [[sleep describe on_unobserved wait_any wait_all as_completed register resolve signal blocking
    spawn spawn_after spawn_every within Condition connect listen open_file read_file write_file serve datagram thaw
    pairs ipairs Pool Thread Heap IOCompletionPort Socket File Process Atomic Dict Array Frozen]])
  for _, class in ipairs { "Heap", "IOCompletionPort", "Socket", "File", "Dict" } do
    try_functions(iocp[class], "open")
  end
  try_functions(iocp.Pool, "open named status")
  local objects = new_streams()
  objects.stream:timeout(10)
  objects.datagram:timeout(10)
  objects.heap, objects.socket, objects.random = iocp.Heap(), iocp.Socket(), iocp.File.temporary()
  objects.limited = iocp.IOCompletionPort { capacity = 1000 }
  for _, object in pairs(objects) do
    try_methods(object)
  end
end

describe("wrong use is told by the script's line and the public name", function()
  it("in a thread without a scheduler", function()
    local thread = iocp.Thread(function(rows, make, try_all)
      local found = try_all(rows, make())
      return #found, table.concat(found, "\n")
    end, PLAIN, new_objects, try_rows)
    local _, count, text = thread:join()
    assert.same({ 0, "" }, { count, text })
  end)

  it("outside fibers, and inside", function()
    local function both()
      local objects = new_streams()
      assert.same({}, try_rows(PLAIN, objects))
      if iocp.fibers and #iocp.fibers() > 0 then
        assert.same({}, try_rows(WITH_SCHEDULER, objects))
      end
    end
    both()
    iocp.run(both)
    both()
  end)

  it("of every function and method", function()
    try_everything()
    assert.same({}, troubles)
    iocp.run(try_everything)
    assert.same({}, troubles)
    os.remove("k") -- which some of it takes for a path
  end)

  it("for an element of a view", function()
    local view = iocp.Array("uint8", 3):view()
    local ok, message = pcall(function() view[1] = -1 end)
    assert.is_true(ok and rawget(_G, "jit") ~= nil or message:find("^spec/blame_spec.lua:%d+: bad") == 1)
    ok, message = pcall(function() return view[4] + 1 end)
    assert.is_false(ok)
    assert.matches("^spec/blame_spec.lua:%d+: bad index", message)
  end)
end)
