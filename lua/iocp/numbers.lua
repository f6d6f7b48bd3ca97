--- Slices of lists of numbers on their way to the workers and back.
-- Many numbers cross as memory and not as values: they lie in a block of a heap, which the worker reads and writes in
-- place. On LuaJIT its FFI does that, in compiled loops, elsewhere, or where the compiler is off,
-- src/lua/pool/numbers.c. The block is the caller's, who frees it when the chunk's task has ended; with a task that is
-- abandoned it goes when nobody holds the heap any more.
local has_ffi, ffi = false, nil
if rawget(_G, "jit") and rawget(_G, "jit").status() and os.getenv("IOCP_NOJIT") ~= "1" then
  has_ffi, ffi = pcall(require, "ffi")
end

-- The functions of src/lua/pool/numbers.c, for LuaJIT.
local compiled = {}

local function view(address)
  return ffi.cast("double *", address)
end

function compiled.bytes(n)
  return n * 8
end

function compiled.fill(address, list, first, n)
  local p = view(address)
  for i = 1, n do
    local value = list[first + i - 1]
    if type(value) ~= "number" then
      return false
    end
    p[i - 1] = value
  end
  return true
end

function compiled.read(address, _, n, list, first)
  local p = view(address)
  for i = 1, n do
    list[first + i - 1] = p[i - 1]
  end
end

-- at, stop, halt: see runners.lua.
function compiled.map(f, address, n, first, at, stop, halt)
  local p = view(address)
  for i = 1, n do
    if stop[0] ~= 0 then
      halt(at)
    end
    at[0] = i
    local result = f(p[i - 1], first + i - 1)
    if type(result) ~= "number" then
      return i, result
    end
    p[i - 1] = result
  end
end

return function(parts)
  local blocks = has_ffi and compiled or parts.numbers
  local numbers = {
    ffi = has_ffi and ffi or nil, -- if it is used

    --- In a worker: map(f, address, n, first, at, stop, halt) replaces each number of a block by f(number, its index in
    -- the list). Returns where f gave something else, and what; or nothing.
    map = blocks.map,
  }

  --- list[first .. first + n - 1] as the address of a block in the heap. Nil if they are not all numbers, or there is
  -- no room.
  function numbers.pack(list, first, n, heap)
    local address = heap:alloc(blocks.bytes(n))
    if address and blocks.fill(address, list, first, n) then
      return address
    elseif address then
      heap:free(address)
    end
    return nil
  end

  --- Writes a block of n numbers to list[first] and so on. False: it is no block but a table of results.
  function numbers.unpack(packed, n, list, first)
    if type(packed) ~= "number" then
      return false
    end
    blocks.read(packed, n, n, list, first)
    return true
  end

  --- The first `n` items of a chunk of `size` as a table.
  function numbers.items(packed, size, n)
    if type(packed) == "table" then
      return packed
    end
    local items = parts.new_list(size)
    blocks.read(packed, size, n, items, 1)
    return items
  end

  return numbers
end
