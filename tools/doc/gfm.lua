--- GitHub's Markdown, for LDoc: by cmark-gfm, as a function from text to HTML. What is there once is not made twice.
local made = {}

return function(text)
  if not made[text] then
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    local pipe = assert(io.popen("cmark-gfm --unsafe -e table " .. path))
    made[text] = pipe:read("*a")
    assert(pipe:close(), "cmark-gfm has failed")
    os.remove(path)
  end
  return made[text]
end
