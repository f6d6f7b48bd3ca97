-- The heap: statements 29 to 36 of the semantics.
local iocp = require "iocp"
local support = require "support"

local function code_of(_, _, code)
  return code
end

describe("a heap's blocks", function()
  local heap
  before_each(function()
    heap = iocp.Heap()
  end)
  after_each(function()
    heap:destroy()
  end)

  -- On every side of the limits between small, medium and large blocks.
  local sizes = { 0, 1, 15, 16, 17, 47, 48, 49, 128, 129, 1024, 1025, 4095, 4096, 8176, 8177, 16384, 16385, 100000,
    2 ^ 19, 2 ^ 19 + 1, 2 ^ 20, 5 * 2 ^ 20 + 3 }

  it("are real, aligned, apart and as large as asked (29)", function()
    local blocks = {}
    for _, size in ipairs(sizes) do
      local address = assert(heap:alloc(size))
      assert.equal(0, address % 16)
      assert.equal(size, heap:size(address))
      assert.is_true(heap:validate(address))
      for other, other_size in pairs(blocks) do
        assert.is_true(address >= other + other_size or other >= address + size)
      end
      blocks[address] = size
    end
    for address in pairs(blocks) do
      assert.is_true(heap:free(address))
    end
    assert.equal(0, heap:stats().blocks)
  end)

  it("of no bytes are blocks, and nil may be freed (29)", function()
    local a, b = heap:alloc(0), heap:alloc(0)
    assert.is_true(a ~= b)
    assert.equal(0, heap:size(a))
    assert.is_true(heap:free(nil))
    assert.is_true(heap:free())
    local c = heap:realloc(heap:alloc(100), 0)
    assert.equal(0, heap:size(c))
    assert.is_true(heap:validate(c))
    assert.equal(3, heap:stats().blocks)
  end)

  it("are cleared on demand, also where memory is used again (30)", function()
    for _, size in ipairs { 48, 5000, 20000, 600000 } do
      for _ = 1, 3 do
        local address = heap:alloc(size, true)
        assert.equal(("\0"):rep(size), heap:read(address))
        heap:write(address, ("x"):rep(size))
        heap:free(address)
      end
    end
  end)

  it("keep their content when resized, and only the tail is cleared (30)", function()
    for _, from in ipairs(sizes) do
      for _, to in ipairs { 0, 20, 48, 60, 4000, 9000, 40000, 2 ^ 19 + 5, 2 ^ 20 } do
        local address = heap:alloc(from)
        heap:write(address, ("x"):rep(from))
        address = assert(heap:realloc(address, to, true))
        assert.equal(to, heap:size(address))
        local kept = math.min(from, to)
        assert.is_true(heap:read(address) == ("x"):rep(kept) .. ("\0"):rep(to - kept))
        heap:free(address)
      end
    end
    assert.equal(0, heap:stats().blocks)
    assert.equal(8, heap:size(heap:realloc(nil, 8)))
  end)

  it("survive a resize that fails (30)", function()
    local small = iocp.Heap(0, 100000)
    local address = small:alloc(50000)
    small:write(address, "still here")
    assert.equal("NOMEM", code_of(small:realloc(address, 150000)))
    assert.equal("NOMEM", code_of(small:realloc(address, 2 ^ 52)))
    assert.equal(50000, small:size(address))
    assert.equal("still here", small:read(address, 0, 10))
  end)

  it("too large for any memory are refused (31)", function()
    if support.measures then
      assert.equal("NOMEM", code_of(heap:alloc(2 ^ 46)))
    end
    assert.equal("NOMEM", code_of(heap:alloc(2 ^ 53 - 1)))
    assert.equal("NOMEM", code_of(heap:alloc(math.maxinteger or 2 ^ 53 - 1)))
    assert.equal(0, heap:stats().blocks)
  end)
end)

describe("a heap's maximum", function()
  it("is not used up, even for a moment, by what does not fit (31)", function()
    local heap, stop, begun = iocp.Heap(0, 1000000), iocp.IOCompletionPort(), iocp.IOCompletionPort()
    local greedy = iocp.Thread([[
      local heap, stop, begun = ...
      begun:enqueue(1)
      while stop:stats().queued == 0 do
        for _ = 1, 100 do assert(not heap:alloc(999999999)) end
      end
    ]], heap, stop, begun)
    begun:dequeue()
    for _ = 1, 100000 do
      assert(heap:free((assert(heap:alloc(48)))))
    end
    stop:enqueue(1)
    assert(greedy:join(10000))
    assert.is_true(heap:destroy())
  end)

  it("is never passed, and freeing makes room again (31)", function()
    local maximum = 1000000
    for _, size in ipairs { 10, 1000, 20000, 300000 } do
      local heap, blocks = iocp.Heap(0, maximum), {}
      while true do
        local address, _, code = heap:alloc(size)
        if not address then
          assert.equal("NOMEM", code)
          break
        end
        blocks[#blocks + 1] = address
        assert.is_true(heap:stats().bytes <= maximum)
      end
      assert.is_true(#blocks * size > maximum / 2)
      heap:free(table.remove(blocks))
      assert.is_truthy(heap:alloc(size))
      assert.equal("NOMEM", code_of(heap:alloc(size)))
      heap:destroy()
    end
  end)

  it("counts a large block that is resized where it is (31)", function()
    local heap = iocp.Heap(0, 10000000)
    for _ = 1, 100 do
      for _, sizes in ipairs { { 600000, 602000 }, { 1000000, 600000 }, { 600000, 2000000 } } do
        local address = assert(heap:alloc(sizes[1]))
        assert(heap:free((assert(heap:realloc(address, sizes[2])))))
      end
    end
    assert.is_truthy(heap:alloc(9000000))
    assert.equal("NOMEM", code_of(heap:alloc(2000000)))
  end)

  it("does not keep a block from shrinking, or growing into what is left (30, 31)", function()
    for _, sizes in ipairs { { 8000, 48 }, { 40000, 20000 }, { 40000, 48 }, { 900000, 600000 }, { 900000, 1000 } } do
      local heap = iocp.Heap(0, 1000000)
      local address = assert(heap:alloc(sizes[1]))
      heap:write(address, "still here")
      local rest = assert(heap:alloc(1000000 - sizes[1] - 40000))
      for _, size in ipairs { 16000, 1000, 16 } do
        while heap:alloc(size) do end -- full
      end
      address = assert(heap:realloc(address, sizes[2]))
      assert.equal(sizes[2], heap:size(address))
      assert.equal("still here", heap:read(address, 0, 10))
      address = assert(heap:realloc(address, sizes[1], true))
      assert.equal("still here", heap:read(address, 0, 10))
      assert.equal(("\0"):rep(sizes[1] - sizes[2]), heap:read(address, sizes[2]))
      assert.equal("NOMEM", code_of(heap:realloc(address, sizes[1] + 40000)))
      assert.is_true(heap:free(address) and heap:free(rest))
      assert.is_truthy(heap:alloc(sizes[1]))
      assert.is_true(heap:validate())
    end
  end)

  it("is kept by threads that allocate at once (31)", function()
    local heap, threads = iocp.Heap(0, 100000), {}
    for i = 1, 4 do
      threads[i] = iocp.Thread([[
        local heap, rounds = ...
        for _ = 1, rounds do
          local taken = {}
          for _ = 1, 50 do -- four times what there is room for
            taken[#taken + 1] = heap:alloc(1000)
            assert(heap:stats().bytes <= 100000, "past the maximum")
          end
          for _, address in ipairs(taken) do assert(heap:free(address)) end
        end
      ]], heap, support.scaled(500))
    end
    support.join_all(threads)
    assert.equal(0, heap:stats().blocks)
  end)

  it("absent, lets the heap grow (31)", function()
    local heap = iocp.Heap()
    for _ = 1, 50 do
      assert(heap:alloc(2 ^ 20))
    end
    assert.equal(50 * 2 ^ 20, heap:stats().bytes)
    assert.is_true(heap:stats().reserved >= 50 * 2 ^ 20)
  end)

  it("and the initial size are checked", function()
    for _, bad in ipairs { -1, 0.5, 0 / 0, "1", {} } do
      assert.has_error(function() iocp.Heap(bad) end)
      assert.has_error(function() iocp.Heap(0, bad) end)
    end
    assert.has_error(function() iocp.Heap(100, 10) end)
    assert.is_true(iocp.Heap(3000000):stats().reserved >= 3000000)
  end)

  it("takes no memory of its initial size before blocks are written there", function()
    local before = support.resident()
    local heap = iocp.Heap(256 * 2 ^ 20)
    if support.measures then
      assert.is_true(support.resident() < before + 32768)
    end
    assert.is_true(heap:destroy())
  end)

  it("of an initial size that no memory has cannot be (31)", function()
    assert.equal("NOMEM", code_of(iocp.Heap(2 ^ 52)))
  end)
end)

describe("looking at a heap", function()
  it("tells live blocks from all else (32)", function()
    local heap, other = iocp.Heap(), iocp.Heap()
    assert.is_true(heap:validate())
    for _, size in ipairs { 48, 20000, 600000 } do
      local address, foreign = heap:alloc(size), other:alloc(size)
      assert.is_true(heap:validate(address))
      assert.is_false(heap:validate(address + 16))
      assert.is_false(heap:validate(address + 1))
      assert.is_false(heap:validate(address - 16))
      assert.is_false(heap:validate(foreign))
      assert.is_true(other:validate(foreign))
      heap:free(address)
      assert.is_false(heap:validate(address))
    end
    for _, nonsense in ipairs { 0, 1, 4096, 2 ^ 20, 2 ^ 47 - 16, 2 ^ 48, 2 ^ 53 - 1 } do
      assert.is_false(heap:validate(nonsense))
    end
    assert.is_true(heap:validate())
  end)

  it("lists the live blocks and their sizes, exactly (32)", function()
    local heap, expected = iocp.Heap(), {}
    local blocks = {}
    for i = 1, 3000 do
      local size = (i * 7919) % (i % 100 == 0 and 700000 or 3000)
      blocks[i] = { heap:alloc(size), size }
    end
    for i = 1, 3000 do
      if i % 3 == 0 then
        heap:free(blocks[i][1])
      else
        expected[blocks[i][1]] = blocks[i][2]
      end
    end
    local found = {}
    for address, size in heap:walk() do
      assert.is_nil(found[address])
      found[address] = size
    end
    assert.same(expected, found)
    assert.equal(2000, heap:stats().blocks)
    assert.is_true(heap:validate())
    for _ in iocp.Heap():walk() do
      error("a block in an empty heap")
    end
  end)

  it("counts blocks and bytes", function()
    local heap = iocp.Heap()
    local stats = heap:stats()
    assert.same({ 0, 0, 0 }, { stats.blocks, stats.bytes, stats.peak_bytes })
    assert.is_number(stats.reserved)
    local address = heap:alloc(100)
    heap:alloc(50)
    heap:free(address)
    stats = heap:stats()
    assert.same({ 1, 50 }, { stats.blocks, stats.bytes })
    assert.is_true(stats.peak_bytes >= 50 and stats.peak_bytes <= 150)
  end)
end)

describe("the content of a block", function()
  local heap, address
  before_each(function()
    heap = iocp.Heap()
    address = heap:alloc(10)
  end)

  it("is written and read within its bounds", function()
    assert.is_true(heap:write(address, "0123456789"))
    assert.equal("0123456789", heap:read(address))
    assert.equal("345", heap:read(address, 3, 3))
    assert.equal("89", heap:read(address, 8))
    assert.equal("", heap:read(address, 10))
    assert.is_true(heap:write(address, "ab\0", 7))
    assert.equal("0123456ab\0", heap:read(address))
  end)

  it("is not written or read past its end", function()
    for _, call in ipairs {
      function() return heap:write(address, "0123456789x") end,
      function() return heap:write(address, "x", 10) end,
      function() return heap:write(address, "", 11) end,
      function() return heap:read(address, 11) end,
      function() return heap:read(address, 0, 11) end,
      function() return heap:read(address, 2 ^ 52, 2 ^ 52) end,
    } do
      local result, message, code = call()
      assert.is_nil(result)
      assert.matches("the block has 10 bytes", message, 1, true)
      assert.equal("INVALID", code)
    end
    assert.has_error(function() heap:write(address, 5) end)
    assert.has_error(function() heap:read(address, -1) end)
  end)

  it("goes in and out as a string", function()
    for _, text in ipairs { "", "x", "a\0b\255", ("long "):rep(1000), ("longer "):rep(200000) } do
      local block, size = heap:put(text)
      assert.equal(#text, size)
      assert.equal(text, heap:take(block))
      assert.equal("INVALID", code_of(heap:take(block)))
    end
    assert.equal(1, heap:stats().blocks)
  end)
end)

describe("destroying a heap", function()
  it("frees all that is allocated and makes every use an error (33, 34)", function()
    local heap = iocp.Heap()
    local address
    for _, size in ipairs { 48, 20000, 600000 } do
      address = heap:alloc(size)
    end
    local handle = heap:handle()
    assert.is_true(heap:destroy())
    assert.equal("INVALID", code_of(heap:destroy()))
    assert.equal("INVALID", code_of(heap:alloc(1)))
    assert.equal("INVALID", code_of(heap:realloc(address, 1)))
    assert.equal("INVALID", code_of(heap:free(address)))
    assert.equal("INVALID", code_of(heap:size(address)))
    assert.equal("INVALID", code_of(heap:read(address)))
    assert.equal("INVALID", code_of(heap:write(address, "x")))
    assert.equal("INVALID", code_of(heap:put("x")))
    assert.equal("INVALID", code_of(heap:take(address)))
    assert.equal("INVALID", code_of(heap:lock()))
    assert.equal("INVALID", code_of(heap:stats()))
    assert.is_false(heap:validate())
    assert.is_false(heap:validate(address))
    assert.equal("INVALID", code_of(iocp.Heap.open(handle)))
    assert.has_error(function() heap:walk() end)
    assert.equal("INVALID", code_of(iocp.Heap():free(address)))
  end)

  it("gives the memory back (33)", function()
    local function fill_and_destroy()
      local heap = iocp.Heap()
      for _ = 1, support.scaled(200000) do
        heap:alloc(100)
      end
      heap:destroy()
    end
    fill_and_destroy()
    local before = support.resident()
    for _ = 1, 5 do
      fill_and_destroy()
    end
    if support.measures then
      assert.is_true(support.resident() < before + 4096)
    end
  end)

  it("while other threads use it never crashes (34)", function()
    for _ = 1, support.scaled(100) do
      local heap, threads = iocp.Heap(), {}
      for i = 1, 3 do
        threads[i] = iocp.Thread([[
          local heap, size = ...
          while true do
            local a = heap:alloc(size)
            if not a then return select(3, heap:alloc(size)) end
            heap:write(a, "content")
            heap:read(a)
            heap:free(heap:realloc(a, size * 3, true) or a)
          end
        ]], heap, ({ 48, 20000, 300000 })[i])
      end
      iocp.sleep(1)
      heap:destroy()
      for _, code in ipairs(support.join_all(threads)) do
        assert.equal("INVALID", code)
      end
    end
  end)
end)

describe("wrong addresses", function()
  it("are an error and corrupt nothing (34)", function()
    local heap, other = iocp.Heap(), iocp.Heap()
    for _, size in ipairs { 48, 20000, 600000 } do
      local address, foreign = heap:alloc(size), other:alloc(size)
      assert.is_true(heap:free(address))
      for _, bad in ipairs { address, foreign, foreign + 16, 0, 1, 2 ^ 47, 2 ^ 53 - 1 } do
        if bad ~= 0 then
          assert.equal("INVALID", code_of(heap:free(bad)))
          assert.equal("INVALID", code_of(heap:realloc(bad, 10)))
        end
        assert.equal("INVALID", code_of(heap:size(bad)))
        assert.equal("INVALID", code_of(heap:read(bad)))
        assert.equal("INVALID", code_of(heap:write(bad, "x")))
        assert.equal("INVALID", code_of(heap:take(bad)))
      end
    end
    assert.same({ 0, 3 }, { heap:stats().blocks, other:stats().blocks })
    assert.is_true(heap:validate() and other:validate())
  end)

  it("of another type are refused by name", function()
    local heap = iocp.Heap()
    for _, bad in ipairs { -1, 0.5, 0 / 0, "1", true, {} } do
      for _, method in ipairs { "free", "size", "read", "take", "validate" } do
        local ok, message = pcall(heap[method], heap, bad)
        assert.is_false(ok)
        assert.matches("address: expected an address", message, 1, true)
      end
    end
    for _, bad in ipairs { -1, 0.5, 0 / 0, 1 / 0, "1", {} } do
      local ok, message = pcall(heap.alloc, heap, bad)
      assert.is_false(ok)
      assert.matches("size: expected an integer from 0", message, 1, true)
    end
    assert.has_error(function() heap:alloc(1, "zero") end)
  end)

  it("freed by many threads at once are freed once (34)", function()
    for _ = 1, support.scaled(50) do
      local heap, threads = iocp.Heap(), {}
      local blocks = {}
      for i = 1, 100 do
        blocks[i] = ("%.0f"):format(heap:alloc(i * 10)) -- exact on every Lua, unlike tostring and %d
      end
      local list = table.concat(blocks, " ")
      for i = 1, 3 do
        threads[i] = iocp.Thread([[
          local heap, list = ...
          local freed = 0
          for address in list:gmatch("%d+") do
            if heap:free(tonumber(address)) then freed = freed + 1 end
          end
          return freed
        ]], heap, list)
      end
      local freed = 0
      for _, n in ipairs(support.join_all(threads)) do
        freed = freed + n
      end
      assert.equal(100, freed)
      assert.equal(0, heap:stats().blocks)
      assert.is_true(heap:validate())
    end
  end)
end)

describe("a heap among threads", function()
  it("lets any of them free any block: 100,000 crossing leave none (35)", function()
    local heap, port, count = iocp.Heap(), iocp.IOCompletionPort(), support.scaled(100000)
    local threads = {}
    for i = 1, 2 do
      threads[i] = iocp.Thread([[
        local heap, port = ...
        for address, bytes in port:packets() do
          local key = address
          assert(heap:size(key) == bytes)
          assert(heap:read(key, 0, math.min(bytes, 4)) == ("ping"):sub(1, bytes))
          if bytes % 3 == 0 then key = assert(heap:realloc(key, bytes * 2)) end
          assert(heap:free(key))
        end
      ]], heap, port)
    end
    for i = 1, count do
      local size = i % 500 == 0 and i % 60000 or i % 200
      local address = assert(heap:alloc(size))
      heap:write(address, ("ping"):sub(1, size))
      port:enqueue(address, size)
    end
    assert.is_true(support.eventually(function() return #port == 0 end))
    assert.is_true(support.eventually(function() return port:stats().waiting == 2 end))
    port:close()
    support.join_all(threads)
    assert.same({ 0, 0 }, { heap:stats().blocks, heap:stats().bytes })
    assert.is_true(heap:validate())
    for _ in heap:walk() do
      error("a block is left")
    end
  end)

  it("walks and validates exactly while they work (32, 35)", function()
    local heap, stop, threads = iocp.Heap(), iocp.IOCompletionPort(), {}
    local mine = {}
    for i = 1, 100 do
      mine[heap:alloc(i)] = i
    end
    for i = 1, 3 do
      threads[i] = iocp.Thread([[
        local heap, stop = ...
        while select(3, stop:dequeue(0)) == "TIMEOUT" do
          local blocks = {}
          for i = 1, 200 do blocks[i] = heap:alloc(i * 20) end
          for i = 1, 200 do assert(heap:free(blocks[i])) end
        end
      ]], heap, stop)
    end
    for _ = 1, support.scaled(100) do
      local found = 0
      for address, size in heap:walk() do
        if mine[address] then
          assert.equal(mine[address], size)
          found = found + 1
        end
      end
      assert.equal(100, found)
      assert.is_true(heap:validate())
    end
    stop:close()
    support.join_all(threads)
  end)

  it("is kept to the thread that locked it (36)", function()
    local heap = iocp.Heap()
    local address = heap:alloc(10)
    local port = iocp.IOCompletionPort()
    assert.is_true(heap:lock())
    assert.is_true(heap:lock())
    local other = iocp.Thread([[
      local heap, port, address = ...
      port:enqueue(1)
      assert(heap:free(address))
      port:enqueue(2)
      return heap:alloc(5) ~= nil
    ]], heap, port, address)
    assert.equal(1, (port:dequeue(10000)))
    assert.equal("TIMEOUT", select(3, port:dequeue(50)))
    assert.is_truthy(heap:alloc(20))
    assert.equal(10, heap:size(address))
    assert.is_true(heap:unlock())
    assert.equal("TIMEOUT", select(3, port:dequeue(50)))
    assert.is_true(heap:unlock())
    assert.equal(2, (port:dequeue(10000)))
    assert.is_true((other:join(10000)))
    assert.equal("INVALID", code_of(heap:unlock()))
  end)

  it("is locked by one at a time (36)", function()
    local heap, threads, rounds = iocp.Heap(), {}, support.scaled(2000)
    local address = heap:put("0")
    for i = 1, 3 do
      threads[i] = iocp.Thread([[
        local heap, address, rounds = ...
        for _ = 1, rounds do
          heap:lock()
          local n = tonumber(heap:read(address))
          address = address
          heap:write(address, ("%d"):format((n + 1) % 10))
          heap:unlock()
        end
      ]], heap, address, rounds)
    end
    support.join_all(threads)
    assert.equal(3 * rounds % 10, tonumber(heap:read(address)))
  end)

  it("is unlocked by the end of the thread that held it (36)", function()
    local heap = iocp.Heap()
    local holder = iocp.Thread("local heap = ... heap:lock() heap:lock() heap:alloc(1)", heap)
    assert.is_true((holder:join(10000)))
    assert.is_truthy(heap:alloc(1))
    assert.is_true(heap:lock())
  end)

  it("is unlocked by the end of a thread that used many heaps, and dropped the locked one (36)", function()
    local heap = iocp.Heap()
    local holder = iocp.Thread([[
      local heap = ...
      local iocp = require "iocp"
      heap:lock()
      iocp.Heap():lock()
      collectgarbage()
      local others = {}
      for i = 1, 40 do
        others[i] = iocp.Heap()
        others[i]:alloc(10)
      end
    ]], heap)
    assert.is_true((holder:join(10000)))
    assert.is_truthy(heap:alloc(1))
  end)

  it("loses no block to a cancel in the middle of put or realloc (36)", function()
    for _, call in ipairs { "return heap:put(('x'):rep(2000))", "return heap:realloc(mine, 3000)" } do
      for _ = 1, support.scaled(200) do
        local heap, go = iocp.Heap(), iocp.IOCompletionPort()
        local thread = iocp.Thread([[
          local heap, go = ...
          local mine = heap:alloc(10)
          go:enqueue(1)
        ]] .. call, heap, go)
        go:dequeue()
        heap:lock()
        thread:cancel()
        iocp.yield()
        heap:unlock()
        local _, address = thread:join(10000)
        local blocks = 0
        for _ in heap:walk() do
          blocks = blocks + 1
        end
        assert.equal(call:find("put", 1, true) and address and 2 or 1, blocks)
      end
    end
  end)
end)
