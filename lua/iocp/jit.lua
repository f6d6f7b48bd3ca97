--- LuaJIT's fast path: the methods that hot loops call, over the C functions of iocp.h instead of the C functions of
-- Lua. A loop with them compiles to machine code that calls the library directly; a loop that the compiler cannot take
-- calls them as small compiled functions of their own. Both are faster than a call of a classic C function, which no
-- trace can hold.
--
-- Each method here does what is usual and leaves the rest to the classic method of the same name: wrong arguments, so
-- that errors are the same; closed objects; interrupted waits, so that hooks run, and on Windows all that wait. Packets
-- that are messages, bring an I/O's error or a key that no number holds go to what stands behind the get in the classic
-- method. Nothing here makes garbage but results.
--
-- Results of built-in functions go through a local: a trace may end in a return, but not in a tail call of one, if the
-- caller is not to be compiled (jit.off).
--
-- Not used where the compiler is off when the module is loaded, since interpreted FFI calls are some ten times slower
-- than classic ones, nor with IOCP_NOJIT=1 in the environment.
-- @module iocp.jit

local private = require "iocp.private"

--- Replaces the methods of this state's metatables.
-- @tparam table core the module iocp.core
-- @tparam table ffi LuaJIT's ffi
return function(core, ffi)
  local library = package.searchpath("iocp.core", package.cpath)
  local has_debug, registry = pcall(function() return debug.getregistry() end)
  if not library or not has_debug or os.getenv("IOCP_NOJIT") == "1" or not jit.status() then
    return
  end
  local loaded, C = pcall(ffi.load, library)
  if not loaded then
    return
  end

  -- Names of our own for the functions, so that nothing a script declares itself meets them. An address is an integer
  -- here.
  if not pcall(function() return C.iocp_jit_enqueue end) then
    ffi.cdef [[
      int iocp_jit_enqueue(void *, uintptr_t, uint32_t, uintptr_t) __asm__("iocp_port_enqueue");
      int iocp_jit_enqueue_many(void *, const void *, size_t) __asm__("iocp_port_enqueue_many");
      int iocp_jit_dequeue_many(void *, void *, size_t, size_t *, double) __asm__("iocp_port_dequeue_many");
      int iocp_jit_open(uint64_t, void **) __asm__("iocp_port_open");
      void iocp_jit_release(void *) __asm__("iocp_port_release");
      int iocp_jit_alloc(void *, size_t, int, uintptr_t *) __asm__("iocp_heap_alloc");
      int iocp_jit_free(void *, uintptr_t) __asm__("iocp_heap_free");
      int iocp_jit_size(void *, uintptr_t, size_t *) __asm__("iocp_heap_size");
      int iocp_jit_read(void *, uintptr_t, size_t, void *, size_t) __asm__("iocp_heap_read");
      int iocp_jit_write(void *, uintptr_t, size_t, const char *, size_t) __asm__("iocp_heap_write");
      double iocp_jit_clock(void) __asm__("iocp_clock");
      const char *iocp_jit_error_name(int) __asm__("iocp_error_name");
      void iocp_jit_error_text(int, char *, size_t) __asm__("iocp_error_text");
    ]]
  end

  -- The very library that made our objects knows their handles; a copy of it that package.cpath leads to does not.
  local probe, opened = core.IOCompletionPort(), ffi.new("void *[1]")
  if not probe or C.iocp_jit_open(tonumber(probe:handle()), opened) ~= 0 then
    return
  end
  C.iocp_jit_release(opened[0])
  probe:close()

  local c_enqueue, c_enqueue_many, c_dequeue_many = C.iocp_jit_enqueue, C.iocp_jit_enqueue_many, C.iocp_jit_dequeue_many
  local c_clock = C.iocp_jit_clock
  local c_alloc, c_free, c_size = C.iocp_jit_alloc, C.iocp_jit_free, C.iocp_jit_size
  local c_read, c_write = C.iocp_jit_read, C.iocp_jit_write

  local cast, istype, new, string_of = ffi.cast, ffi.istype, ffi.new, ffi.string
  local getmetatable, tonumber, type, floor = getmetatable, tonumber, type, math.floor
  local box = ffi.typeof("struct { void *object; uint64_t mark; } *") -- what a userdata holds: src/lua/object.c
  local packet_type = "struct { int64_t key, overlapped; uint32_t bytes; int32_t code; }"
  local packets_type = ffi.typeof(packet_type .. "[?]")
  local void_pointer, address_type = ffi.typeof("void *"), ffi.typeof("uintptr_t")
  local EXACT = 2 ^ 53 -- below it a number stands for one integer only
  local MESSAGE = core.MESSAGE or EXACT
  local BATCH = 1024 -- packets that are taken or posted at once; what is more is left to the classic method
  local BUFFER = 65536 -- bytes that are read over a buffer of our own
  local TIMEOUT, INTERRUPTED = -1, -8
  -- Waits on Windows run the host's asynchronous procedure calls, and one that is a callback must not run where
  -- compiled code is under way (src/windows/wait.c). There a method only looks, and the classic one, which the
  -- interpreter calls, waits.
  local WAITS = ffi.os ~= "Windows"

  -- nil, message, code for the codes of iocp.h; made here, so that a loop that polls stays compiled.
  local texts, names = {}, {}
  do
    local text = new("char[256]")
    for code = -1, INTERRUPTED, -1 do
      C.iocp_jit_error_text(code, text, 256)
      texts[code], names[code] = string_of(text), string_of(C.iocp_jit_error_name(code))
    end
  end

  -- Where the C functions write to. A state runs in one thread, but reading a result may make garbage where the code is
  -- interpreted, so that a finalizer runs, which may call any method here: from a call that writes to the last that
  -- reads, `busy` is set, and whoever finds it set leaves the work to the classic method. What is taken lies in a
  -- userdata of src/lua/taken.c, where the functions behind the classic get find it; they reset `busy`. The structs are
  -- binding.h's.
  local parts = private.open_fast(BATCH)
  local left = cast("struct { void *newest; uint32_t busy; } *", parts.left)
  local taken = cast("struct { void *port, *newer, *older, *left; size_t max, next, count; " .. packet_type
    .. " packets[1]; } *", parts.taken)
  local packets, count = taken.packets + 0, new("size_t[1]")
  local hand_out, hand_out_in_loop, fill_classic = parts.hand_out, parts.hand_out_in_loop, parts.fill
  local give_back = parts.give_back
  local posted -- BATCH packets, made when first needed
  local address_out, size_out = new("uintptr_t[1]"), new("size_t[1]")
  local buffer -- BUFFER bytes, made when first needed

  local function is_integer(value, limit)
    return type(value) == "number" and value >= 0 and value < limit and floor(value) == value
  end

  local port_class, heap_class = registry["iocp.IOCompletionPort"], registry["iocp.Heap"]
  local classic_port, classic_heap = {}, {}
  for name, method in pairs(port_class.__index) do
    classic_port[name] = method
  end
  for name, method in pairs(heap_class.__index) do
    classic_heap[name] = method
  end

  -- The object in a userdata of the class; nil for anything else, and for one that was collected by hand.
  local function object_of(self, class)
    if type(self) == "userdata" and getmetatable(self) == class then
      local object = cast(box, self).object
      if object ~= nil then
        return object
      end
    end
    return nil
  end

  -- Whether a packet can be handed out as three numbers. The key and the overlapped are signed here, since the
  -- processor turns those into numbers in one step.
  local function is_plain(p)
    local key, overlapped = p.key, p.overlapped
    return p.code == 0 and key >= 0 and key < EXACT
      and (overlapped == 0 or overlapped > 0 and overlapped < EXACT and overlapped ~= MESSAGE)
  end

  local function values(p)
    local overlapped = p.overlapped
    if overlapped == 0 then
      return tonumber(p.key), p.bytes, nil
    end
    return tonumber(p.key), p.bytes, tonumber(overlapped)
  end

  -- ---- port ---------------------------------------------------------------------------------------------------------

  local port_methods = {}

  local classic_enqueue = classic_port.enqueue
  function port_methods.enqueue(self, key, bytes, overlapped)
    local port = object_of(self, port_class)
    if port and is_integer(key, EXACT) and (bytes == nil or is_integer(bytes, 2 ^ 32))
      and (overlapped == nil or is_integer(overlapped, EXACT) and overlapped ~= MESSAGE) then
      local code = c_enqueue(port, key, bytes or 0, overlapped or 0)
      if code == 0 then
        return true
      elseif code < 0 then
        return nil, texts[code], names[code]
      end
    end
    return classic_enqueue(self, key, bytes, overlapped)
  end

  -- Takes up to `max` packets within `ms` (-1: for ever): the code, and what is left of the time if the classic method
  -- is to go on. `busy` is set from then on. The clock is asked only where there is nothing at once.
  local function take(port, max, ms)
    left.busy = 1
    local code = c_dequeue_many(port, packets, max, count, (ms > 0 or not WAITS) and 0 or ms)
    if code == TIMEOUT and ms > 0 and WAITS then
      local started = c_clock()
      code = c_dequeue_many(port, packets, max, count, ms)
      if code == INTERRUPTED then
        local rest = started + ms - c_clock()
        return code, rest > 0 and rest or 0
      end
    end
    return code, ms
  end

  -- Whether a get may take packets itself. What a broken-off loop left goes back to its port first.
  local function is_free()
    return left.busy == 0 and (left.newest == nil or give_back())
  end

  local function is_time(ms)
    return ms == nil or type(ms) == "number" and ms >= 0
  end

  -- What is left of a time for the classic method.
  local function or_nil(ms)
    return ms >= 0 and ms or nil
  end

  -- Whether a get that ended with this code has ended; else the classic method gets.
  local function has_ended(code, ms)
    return code < 0 and code ~= INTERRUPTED and (WAITS or ms == 0 or code ~= TIMEOUT)
  end

  local classic_dequeue = classic_port.dequeue
  function port_methods.dequeue(self, ms)
    local port = object_of(self, port_class)
    if not port or not is_time(ms) or not is_free() then
      return classic_dequeue(self, ms)
    end
    local code, rest = take(port, 1, ms or -1)
    if code == 0 then
      if is_plain(packets[0]) then
        local key, bytes, overlapped = values(packets[0])
        left.busy = 0
        return key, bytes, overlapped
      end
      return hand_out(self)
    end
    left.busy = 0
    if has_ended(code, ms) then
      return nil, texts[code], names[code]
    end
    return classic_dequeue(self, or_nil(rest))
  end

  local classic_enqueue_many = classic_port.enqueue_many
  function port_methods.enqueue_many(self, keys, bytes, overlapped)
    local port = object_of(self, port_class)
    if port and left.busy == 0 and type(keys) == "table" and getmetatable(keys) == nil and #keys <= BATCH
      and (bytes == nil or is_integer(bytes, 2 ^ 32))
      and (overlapped == nil or is_integer(overlapped, EXACT) and overlapped ~= MESSAGE) then
      local n = #keys
      posted = posted or new(packets_type, BATCH)
      left.busy = 1
      for i = 1, n do
        local key = keys[i]
        if not is_integer(key, EXACT) then
          left.busy = 0
          return classic_enqueue_many(self, keys, bytes, overlapped)
        end
        local p = posted[i - 1]
        p.key, p.overlapped, p.bytes, p.code = key, overlapped or 0, bytes or 0, 0
      end
      local code = c_enqueue_many(port, posted, n)
      left.busy = 0
      if code == 0 then
        return n
      elseif code < 0 then
        return nil, texts[code], names[code]
      end
    end
    return classic_enqueue_many(self, keys, bytes, overlapped)
  end

  -- Writes `n` packets into a flat batch; false if one of them is not plain.
  local function fill(batch, from, n)
    for i = 0, n - 1 do
      local p = from[i]
      if not is_plain(p) then
        return false
      end
      local last = i + i + i -- 3 * i would not stay an integer
      batch[last + 1], batch[last + 2], batch[last + 3] = values(p)
    end
    return true
  end

  local classic_dequeue_many = classic_port.dequeue_many
  function port_methods.dequeue_many(self, max, ms, batch)
    local port = object_of(self, port_class)
    if not port or not is_integer(max, BATCH + 1) or max == 0 or not is_time(ms)
      or not (batch == nil or type(batch) == "table" and getmetatable(batch) == nil) or not is_free() then
      return classic_dequeue_many(self, max, ms, batch)
    end
    local into = batch or {}
    local code, rest = take(port, max, ms or -1)
    if code == 0 then
      local n = tonumber(count[0])
      local fine, filled = pcall(fill, into, packets, n)
      if fine and filled then
        left.busy = 0
        return into, n
      end
      return fill_classic(self, n, into) -- also where memory was out: it says so, and loses nothing
    end
    left.busy = 0
    if has_ended(code, ms) then
      return nil, texts[code], names[code]
    end
    return classic_dequeue_many(self, max, or_nil(rest), batch)
  end

  local classic_packets = classic_port.packets
  local classic_next = setmetatable({}, { __mode = "k" }) -- by the port: one iterator, however often its loop waits
  local function next_packet(self)
    local port = object_of(self, port_class)
    if port and is_free() then
      local code = take(port, 1, -1)
      if code == 0 then
        if is_plain(packets[0]) then
          local key, bytes, overlapped = values(packets[0])
          left.busy = 0
          return key, bytes, overlapped
        end
        return hand_out_in_loop(self)
      end
      left.busy = 0
    end
    local iterate = classic_next[self]
    if not iterate then
      iterate = classic_packets(self)
      classic_next[self] = iterate
    end
    return iterate() -- waits, ends the loop, raises, or takes what is not plain
  end

  -- With a batch the classic iterator gives back what a loop that is left has not used.
  function port_methods.packets(self, batch)
    if object_of(self, port_class) and (batch == nil or batch == 1) then
      return next_packet, self
    end
    return classic_packets(self, batch)
  end

  -- ---- heap ---------------------------------------------------------------------------------------------------------

  local heap_methods = {}

  -- A number that is an address, or 0: which the classic method looks at.
  local function address_of(value)
    if is_integer(value, EXACT) then
      return value
    elseif istype(void_pointer, value) then
      local address = tonumber(cast(address_type, value))
      if address < EXACT then
        return address
      end
    end
    return 0
  end

  local classic_alloc = classic_heap.alloc
  function heap_methods.alloc(self, size, zero)
    local heap = object_of(self, heap_class)
    if heap and left.busy == 0 and is_integer(size, EXACT) and (zero == nil or type(zero) == "boolean") then
      left.busy = 1
      local code = c_alloc(heap, size, zero and 1 or 0, address_out)
      local address = tonumber(address_out[0])
      left.busy = 0
      if code == 0 then
        return address
      elseif code < 0 and code ~= INTERRUPTED then
        return nil, texts[code], names[code]
      end
    end
    return classic_alloc(self, size, zero)
  end

  local classic_free = classic_heap.free
  function heap_methods.free(self, address)
    local heap, number = object_of(self, heap_class), address_of(address)
    if heap and number ~= 0 then
      local code = c_free(heap, number)
      if code == 0 then
        return true
      elseif code < 0 and code ~= INTERRUPTED then
        return nil, texts[code], names[code]
      end
    end
    return classic_free(self, address)
  end

  -- nil: no live block.
  local function size_of(heap, number)
    left.busy = 1
    local code = c_size(heap, number, size_out)
    local size = tonumber(size_out[0])
    left.busy = 0
    return code == 0 and size or nil
  end

  local classic_size = classic_heap.size
  function heap_methods.size(self, address)
    local heap, number = object_of(self, heap_class), address_of(address)
    if heap and number ~= 0 and left.busy == 0 then
      local size = size_of(heap, number)
      if size then
        return size
      end
    end
    return classic_size(self, address)
  end

  -- `length` bytes from `offset` on; nil if that passes the end, or is more than is worth keeping a buffer for.
  local function content(heap, number, size, offset, length)
    length = length or size - offset
    if length < 0 or offset + length > size or length > BUFFER then
      return nil
    end
    buffer = buffer or new("char[?]", BUFFER)
    left.busy = 1
    local code = c_read(heap, number, offset, buffer, length)
    local text = code == 0 and string_of(buffer, length) or nil
    left.busy = 0
    return text
  end

  local classic_read = classic_heap.read
  function heap_methods.read(self, address, offset, length)
    local heap, number = object_of(self, heap_class), address_of(address)
    if heap and number ~= 0 and left.busy == 0 and (offset == nil or is_integer(offset, EXACT))
      and (length == nil or is_integer(length, EXACT)) then
      local size = size_of(heap, number)
      local text = size and content(heap, number, size, offset or 0, length)
      if text then
        return text
      end
    end
    return classic_read(self, address, offset, length)
  end

  local classic_write = classic_heap.write
  function heap_methods.write(self, address, text, offset)
    local heap, number = object_of(self, heap_class), address_of(address)
    if heap and number ~= 0 and type(text) == "string" and (offset == nil or is_integer(offset, EXACT))
      and c_write(heap, number, offset or 0, text, #text) == 0 then
      return true
    end
    return classic_write(self, address, text, offset)
  end

  for name, method in pairs(port_methods) do
    port_class.__index[name] = method
  end
  for name, method in pairs(heap_methods) do
    heap_class.__index[name] = method
  end
end
