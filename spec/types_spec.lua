-- What editors are told: every class, method and function there is, no other, and nothing that they would pass over.
local iocp = require "iocp"
local support = require "support"
local luacats = dofile "tools/doc/luacats.lua"

local function keys(from, condition)
  local list = {}
  for key, value in pairs(from) do
    if not condition or condition(value) then
      list[#list + 1] = key
    end
  end
  table.sort(list)
  return list
end

local function a_stream()
  local server = iocp.listen("127.0.0.1")
  return (iocp.connect(server:address()))
end

local function a_scope(pool)
  local scope
  pool:scope(function(its_scope) scope = its_scope end)
  return scope
end

describe("types/iocp.d.lua", function()
  local text = support.read("types/iocp.d.lua")
  local types = luacats.read(text)

  it("has no annotation that a language server would pass over", function()
    assert.same({}, types.problems)
    assert.is_truthy((loadstring or load)(text)) -- luacheck: ignore
  end)

  it("is what require \"iocp\" gives", function()
    assert.equal("iocp", types.meta)
    assert.equal(types.variables.iocp, types.classes.iocp)
    assert.matches("\nreturn iocp\n$", text)
  end)

  it("has the functions and fields of iocp, no other", function()
    assert.is_truthy(iocp.connect and iocp.listen and iocp.datagram and iocp.serve and iocp.wait_any
      and iocp.wait_all and iocp.as_completed)
    assert.is_truthy(iocp.open_file and iocp.read_file and iocp.write_file)
    for name in pairs(types.classes.iocp.fields) do
      assert.is_truthy(iocp[name], name) -- some are loaded when they are asked for
    end
    local function is_function(value) return type(value) == "function" end
    local function is_field(value) return type(value) ~= "function" end
    assert.same(keys(iocp, is_function), keys(types.classes.iocp.functions))
    assert.same(keys(iocp, is_field), keys(types.classes.iocp.fields))
  end)

  it("has the functions of its classes, which can be called", function()
    for _, name in ipairs { "IOCompletionPort", "Heap", "Thread", "Pool", "Socket", "Atomic", "Dict", "Array" } do
      local class = types.classes["iocp." .. name .. "Class"]
      assert.same(keys(iocp[name]), keys(class.functions), name)
      assert.equal(1, class.overloads, name)
    end
  end)

  it("has the methods of every object, no other", function()
    local port, pool = iocp.IOCompletionPort(), iocp.Pool(0)
    local timer = port:enqueue_after(1e9, 1)
    for name, object in pairs { IOCompletionPort = port, Heap = iocp.Heap(), Timer = timer, Signal = iocp.signal("INT"),
      Lookup = iocp.resolve("localhost"), Atomic = iocp.Atomic(), Dict = iocp.Dict(),
      Array = iocp.Array("double", 1),
      Thread = iocp.Thread { body = "", suspended = true }, Pool = pool, Task = pool:task(""),
      Process = iocp.Process { support.interpreter(), "-v", stdout = false, stderr = false },
      Socket = iocp.Socket(), Condition = iocp.Condition(),
      Fiber = iocp.run(iocp.fiber), Server = iocp.listen("127.0.0.1"), Datagram = iocp.datagram("127.0.0.1"),
      Stream = a_stream(), FileStream = iocp.open_file(iocp.File.temporary()),
      Results = (pool:imap({}, print)), PoolScope = a_scope(pool),
      Service = iocp.serve { host = "127.0.0.1", workers = 1, handler = print } } do
      local class, metatable = types.classes["iocp." .. name], getmetatable(object)
      if type(metatable.__index) == "table" then -- else it has fields of the object besides
        assert.same(keys(metatable.__index, function(value) return type(value) == "function" end),
          keys(class.functions), name)
      end
      for method, f in pairs(class.functions) do
        assert.equal("function", type(object[method]), name .. ":" .. method)
        assert.is_truthy(f.method and f.returns, name .. ":" .. method)
      end
      assert.equal(metatable.__len ~= nil, class.operators.len == true, name)
    end
    timer:cancel()
  end)

  it("has the counters of every stats()", function()
    local port, heap, pool = iocp.IOCompletionPort(), iocp.Heap(), iocp.Pool(0)
    for name, object in pairs { PortStats = port, HeapStats = heap, PoolStats = pool, DictStats = iocp.Dict() } do
      assert.same(keys(object:stats()), keys(types.classes["iocp." .. name].fields), name)
    end
    assert.same(keys(pool:stats().run_ms), keys(types.classes["iocp.Times"].fields))
  end)

  -- The fields of a class, and of those that it has all of.
  local function fields_of(class, list)
    list = list or {}
    for name in pairs(class.fields) do
      list[name] = true
    end
    return class.parent and fields_of(types.classes[class.parent], list) or keys(list)
  end

  it("has the options of every function, no other: those that it names to who gives another", function()
    local pool = iocp.Pool(0)
    for name, f in pairs { PortOptions = iocp.IOCompletionPort, ThreadOptions = iocp.Thread, DictOptions = iocp.Dict,
      PoolOptions = iocp.Pool, ProcessOptions = iocp.Process, RunOptions = iocp.run, ServeOptions = iocp.serve,
      StreamOptions = function(o) iocp.connect("127.0.0.1", 1, o) end,
      ListenOptions = function(o) iocp.listen("127.0.0.1", 0, o) end,
      FileStreamOptions = function(o) iocp.open_file("README.md", "r", o) end,
      LoopOptions = function(o) pool:map({}, print, o) end, ImapOptions = function(o) pool:imap({}, print, o) end,
      Treated = function(o) pool:submit(o) end } do
      local _, message = pcall(f, { nonsense = 1 })
      local options = {}
      for word in message:match("nonsense(.*)"):gsub("is none of", ""):gsub("there are", ""):gsub(" is one", "")
        :gsub(" and ", ","):gmatch("[%w_]+") do
        options[#options + 1] = word
      end
      table.sort(options)
      assert.same(options, fields_of(types.classes["iocp." .. name]), name .. ": " .. message)
    end
  end)

  it("has the module's own codes, and names no other code that there is not", function()
    local codes = {}
    for _, choice in ipairs(types.aliases["iocp.Code"].choices) do
      codes[choice.type:match('^"(.*)"$') or ""] = true
    end
    for code in support.read("src/iocp.h"):match("\nenum {\n(.-)\n};"):gmatch("IOCP_(%u+) = ") do
      assert.is_true(codes[code] or code == "OK" or code == "INTERRUPTED", code) -- which never reach scripts
    end
    for code in text:gmatch("%f[%w_]E%u[%u%d_]+") do
      assert.is_truthy(iocp.E[code] or codes[code] or code:find("^EAI_"), code)
    end
  end)

  it("knows that parallel_for needs no step", function()
    assert.equal(1, types.classes["iocp.Pool"].functions.parallel_for.overloads)
  end)
end)

describe("types/remote.d.lua", function()
  local redis = require "support.redis"
  local text = support.read("types/remote.d.lua")
  -- It names types of the other file.
  local types = luacats.read((support.read("types/iocp.d.lua"):gsub("return iocp\n$", "")) .. text)

  it("has no annotation that a language server would pass over", function()
    assert.same({}, types.problems)
    assert.is_truthy((loadstring or load)(text)) -- luacheck: ignore
    assert.matches("\nreturn remote\n$", text)
  end)

  it("has the functions of iocp.remote and its classes, no other", function()
    if redis.missing() then
      pending(redis.missing())
      return
    end
    local remote = require "iocp.remote"
    assert.same(keys(remote), keys(types.classes["iocp.remote"].functions))
    local pool = remote.Pool { redis = "/nowhere", queue = "q", patience = 0 }
    assert.is_nil(pool)
    local classes = { Pool = require("iocp.remote.pool").methods, Task = require("iocp.remote.task").methods,
      Results = require("iocp.remote.loops").methods }
    for name, methods in pairs(classes) do
      for method, f in pairs(types.classes["iocp.remote." .. name].functions) do
        assert.equal("function", type(methods[method]), name .. ":" .. method)
        assert.is_truthy(f.method and f.returns, name .. ":" .. method)
      end
    end
  end)
end)

describe("the reader of types", function()
  -- Each with what is to be said of it.
  local wrong = {
    { "---@clas a", "@clas: an unknown tag" },
    { "---@class a\n---@field b nothing\nlocal a = {}", "nothing is called nothing" },
    { "---@class a\n---@field b {c: integer,\nlocal a = {}", "expected" },
    { "---@class a\nlocal a = {}\n\n---@param b integer\nfunction a.f(c) end", "f is not told its parameters: c" },
    { "---@class a\nlocal a = {}\n\nfunction b.f() end", "not a declaration" },
    { "---@class a\nlocal a = {}\n\n---@overload function(a)\nfunction a.f() end", "expected fun" },
  }

  for i, row in ipairs(wrong) do
    it("finds fault " .. i, function()
      local problems = luacats.read(row[1]).problems
      assert.equal(1, #problems, table.concat(problems, "\n"))
      assert.matches(row[2], problems[1], 1, true)
    end)
  end

  it("finds none in what is right", function()
    local file = luacats.read([[
---@meta a

---@alias a.Code
---| "X" # words, more words
---| integer

---@class a: table
---@field b? a.Code[]|{c: integer, d?: string}|nil words
---@operator len: integer
local a = {}

---@generic T: table
---@param t T
---@param f fun(t: T, ...: any): boolean?, string words
---@param ... any
---@return T|nil t, string? message, a.Code? code words, more words
---@overload fun(t: table<string, integer>): true
function a:f(t, f, ...) end
]])
    assert.same({}, file.problems)
    assert.is_truthy(file.classes.a.functions.f)
  end)
end)
