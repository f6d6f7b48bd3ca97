--- Slices of lists of numbers on their way to the workers and back.
-- Where they can, many numbers cross as memory and not as values. On LuaJIT they lie in a block of a heap, which the worker
-- reads and writes in place, in compiled loops; elsewhere in a string. The block is the caller's, who frees it when the
-- chunk's task has ended; with a task that is abandoned it goes when nobody holds the heap any more.
local has_ffi, ffi = false, nil
if rawget(_G, "jit") and not os.getenv("IOCP_NOJIT") then
  has_ffi, ffi = pcall(require, "ffi")
end

return function(core, parts)
  local numbers = {}

  local function view(address)
    return ffi.cast("double *", address)
  end

  -- Element 0 is room for the number of the item that is being looked at.
  local function fill(p, list, first, n)
    for i = 1, n do
      local value = list[first + i - 1]
      if type(value) ~= "number" then
        return false
      end
      p[i] = value
    end
    return true
  end

  local function read(p, n, list, first)
    for i = 1, n do
      list[first + i - 1] = p[i]
    end
  end

  --- list[first .. first + n - 1] as something that crosses more cheaply, or nil.
  -- @return a string; or an address and its heap
  function numbers.pack(list, first, n, heap)
    if type(list[first]) ~= "number" or getmetatable(list) then
      return nil
    elseif not has_ffi then
      return parts.pack_numbers(list, first, n)
    end
    local address = heap:alloc((n + 1) * 8)
    if address and fill(view(address), list, first, n) then
      return address, heap
    end
    heap:free(address)
    return nil
  end

  --- A heap for pack, if it needs one.
  function numbers.heap()
    return has_ffi and core.Heap() or nil
  end

  --- Writes what pack made, or what map returned for it, to list[first] and so on. False: it is a table of results.
  function numbers.unpack(packed, n, list, first)
    if type(packed) == "string" then
      parts.unpack_numbers(packed, list, first)
    elseif type(packed) == "number" then
      read(view(packed), n, list, first)
    else
      return false
    end
    return true
  end

  --- The items of a chunk as a table.
  function numbers.items(packed, n)
    local items = packed
    if type(packed) ~= "table" then
      items = parts.new_list(n)
      numbers.unpack(packed, n, items, 1)
    end
    return items
  end

  -- Replaces each number by f's. Returns where that was none, and what it was.
  local function map_in_place(f, p, n, first)
    for i = 1, n do
      p[0] = i
      local result = f(p[i], first + i - 1)
      if type(result) ~= "number" then
        return i, result
      end
      p[i] = result
    end
  end

  --- In a worker: f of each number in a block, in place. Returns its address; or where f gave something else, and what.
  -- @param explain the message handler
  -- @return true, address; true, index, result; or false, message, index
  function numbers.map_block(f, address, n, first, explain)
    local p = view(address)
    local ok, at, result = xpcall(map_in_place, explain, f, p, n, first)
    if not ok then
      return false, at, p[0]
    end
    return true, at, result
  end

  --- In a worker: the results of a whole chunk, packed if they can be.
  function numbers.pack_results(results, n)
    return n > 0 and type(results[1]) == "number" and not has_ffi and parts.pack_numbers(results, 1, n) or results
  end

  return numbers
end
