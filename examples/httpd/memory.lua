--- What was worked out before, up to a number and a size: when there is more all of it is forgotten.
-- @module httpd.memory
local memory = {}

--- @param entries how many
-- @param bytes of all keys and values together, as `put` is told
-- @return a table, whose `known` has the values by their keys
function memory.new(entries, bytes)
  return { known = {}, entries = entries, bytes = bytes, count = 0, size = 0 }
end

--- Remembers a value.
function memory.put(self, key, value, size)
  if size > self.bytes then
    return
  elseif self.count >= self.entries or self.size + size > self.bytes then
    self.known, self.count, self.size = {}, 0, 0
  end
  if self.known[key] == nil then
    self.count, self.size = self.count + 1, self.size + size
  end
  self.known[key] = value
end

return memory
