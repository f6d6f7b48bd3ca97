--- What a client sends, as text that is looked at and taken from the front. It knows no sockets: `more()` gives the
-- next piece, or nil and why there is none.
-- @module httpd.source
local find, sub = string.find, string.sub
local Source = {}
local class = { __index = Source }

--- @param more a function: the next piece, a string that is not empty; or nil, what is returned instead of text
function Source.new(more)
  return setmetatable({ text = "", at = 1, more = more }, class)
end

--- Gets a piece: true; or nil, why.
function Source:fill()
  local piece, why = self.more()
  if not piece then
    return nil, why
  end
  self.text = self.at > #self.text and piece or sub(self.text, self.at) .. piece
  self.at = 1
  return true
end

--- How many bytes are there.
function Source:size()
  return #self.text - self.at + 1
end

--- A line of at most `most` bytes, without its CR LF; or nil, 400 if it ends with another thing, or is longer, or what
-- `more` said.
function Source:line(most)
  while true do
    local last = find(self.text, "\n", self.at, true)
    if last and last - self.at < most and sub(self.text, last - 1, last - 1) == "\r" and last > self.at then
      local line = sub(self.text, self.at, last - 2)
      self.at = last + 1
      return line
    elseif last or self:size() > most then
      return nil, 400
    end
    local ok, why = self:fill()
    if not ok then
      return nil, why
    end
  end
end

--- n bytes; or nil, what `more` said.
function Source:bytes(n)
  local pieces, missing = {}, n
  while true do
    local piece = sub(self.text, self.at, self.at + missing - 1)
    self.at, missing = self.at + #piece, missing - #piece
    pieces[#pieces + 1] = piece
    if missing == 0 then
      return table.concat(pieces)
    end
    local ok, why = self:fill()
    if not ok then
      return nil, why
    end
  end
end

return Source
