--- Slices of lists of numbers on their way to the workers and back.
-- Many numbers cross as memory and not as values: they lie in a block of a heap, which the worker reads and writes in
-- place. On LuaJIT its FFI does that, in compiled loops, elsewhere src/lua/pool/numbers.c. The block is the caller's,
-- who frees it when the chunk's task has ended; with a task that is abandoned it goes when nobody holds the heap any
-- more.
local has_ffi, ffi = false, nil
if rawget(_G, "jit") and os.getenv("IOCP_NOJIT") ~= "1" then
  has_ffi, ffi = pcall(require, "ffi")
end

-- The functions of src/lua/pool/numbers.c, for LuaJIT. Element 0 is room for the index of the item that is being
-- mapped.
local compiled = {}

local function view(address)
  return ffi.cast("double *", address)
end

function compiled.bytes(n)
  return (n + 1) * 8
end

function compiled.fill(address, list, first, n)
  local p = view(address)
  p[0] = 1
  for i = 1, n do
    local value = list[first + i - 1]
    if type(value) ~= "number" then
      return false
    end
    p[i] = value
  end
  return true
end

function compiled.read(address, _, n, list, first)
  local p = view(address)
  for i = 1, n do
    list[first + i - 1] = p[i]
  end
end

function compiled.map(f, address, n, first)
  local p = view(address)
  for i = 1, n do
    p[0] = i
    local result = f(p[i], first + i - 1)
    if type(result) ~= "number" then
      return i, result
    end
    p[i] = result
  end
end

function compiled.at(address)
  return view(address)[0]
end

return function(parts)
  local numbers = {}
  local blocks = has_ffi and compiled or parts.numbers

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

  --- In a worker: f of each number in a block, in place. Returns its address; or where f gave something else, and what.
  -- @param explain the message handler
  -- @return true, address; true, index, result; or false, message, index
  function numbers.map_block(f, address, n, first, explain)
    local ok, at, result = xpcall(function()
      return blocks.map(f, address, n, first)
    end, explain)
    if not ok then
      return false, at, blocks.at(address)
    end
    return true, at, result
  end

  return numbers
end
