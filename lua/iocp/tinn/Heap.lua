--- TINN's Heap: `false, err` where ours says nil, message, code; blocks are pointers.
-- @module iocp.tinn.Heap
local ffi = require "ffi"
local bit = require "bit"
local iocp = require "iocp"
local wrap = require "iocp.tinn.wrap"

local HEAP_ZERO_MEMORY = 0x00000008
local void_pointer = ffi.typeof("void *")

local Heap = {}
Heap.__index = Heap

local function succeeded(ok, _, code)
  if not ok then
    return false, code
  end
  return ok
end

--- A new heap of `initial` bytes that grows to `maximum`, 0 for no limit. Returns it, or `false, err`.
function Heap:create(initial, maximum)
  return wrap(Heap, "heap", iocp.Heap(initial or 0, maximum or 0))
end

--- The heap that a native handle stands for: `Heap(handle)`.
function Heap:new(rawhandle)
  if not rawhandle then
    return false, "no raw handle specified"
  end
  return wrap(Heap, "heap", iocp.Heap.open(rawhandle))
end

--- The process' own heap, the same in every thread; it cannot be destroyed.
function Heap.getProcessHeap()
  return wrap(Heap, "heap", iocp.Heap.process())
end

--- The heap's handle as a HANDLE, to be passed to other threads through TINNThread:CreatePointerString.
function Heap:getNativeHandle()
  return self.Handle
end

--- A block as a `void *`, or `nil, err`. `flags`: HEAP_ZERO_MEMORY (8) clears it.
function Heap:alloc(nbytes, flags)
  local address, _, code = self.heap:alloc(nbytes or 1, bit.band(flags or 0, HEAP_ZERO_MEMORY) ~= 0)
  if not address then
    return nil, code
  end
  return ffi.cast(void_pointer, address)
end

--- Frees a block of any thread's: true, or `false, err`.
function Heap:free(pointer)
  return succeeded(self.heap:free(pointer))
end

function Heap:lock()
  return succeeded(self.heap:lock())
end

function Heap:unlock()
  return succeeded(self.heap:unlock())
end

--- Whether the whole heap is in order.
function Heap:isValid()
  return self.heap:validate()
end

--- An array of `{ Kind = "allocated", Size = bytes, Data = pointer }`, one for each live block.
function Heap:entryList()
  local list = {}
  for address, size in self.heap:walk() do
    list[#list + 1] = { Kind = "allocated", Size = size, Data = ffi.cast(void_pointer, address) }
  end
  return list
end

local Blob = {}
Blob.__index = Blob

--- A block that is freed with the object that is returned; `Data` is its pointer. Or `false, err`.
function Heap:allocBlob(nbytes, flags)
  local pointer, err = self:alloc(nbytes, flags)
  if not pointer then
    return false, err
  end
  return setmetatable({ Heap = self, Data = self:collect(pointer), Size = nbytes }, Blob)
end

-- The finalizer gets the pointer as its argument: if it held the pointer, neither would ever be collected.
function Heap:collect(pointer)
  return ffi.gc(pointer, function(data)
    self:free(data)
  end)
end

function Blob:GetSize()
  return succeeded(self.Heap.heap:size(self.Data))
end

function Blob:isValid()
  return self.Heap.heap:validate(self.Data)
end

--- Resizes the block: true, or `false, err` and it is as it was.
function Blob:reAlloc(nbytes)
  local address, _, code = self.Heap.heap:realloc(self.Data, nbytes)
  if not address then
    return false, code
  end
  ffi.gc(self.Data, nil)
  self.Data, self.Size = self.Heap:collect(ffi.cast(void_pointer, address)), nbytes
  return true
end

Blob.reaAlloc = Blob.reAlloc -- as TINN spells it

return setmetatable(Heap, {
  __call = function(class, ...)
    return class:new(...)
  end,
})
