--- What LDoc's pages still need to be a site: links between chapters lead to their pages, headings have the anchors
-- that GitHub gives them, names of functions lead to what is said of them, and index.js has what search.js looks
-- through. Takes the site's folder. Fails, and says where, if a link leads nowhere.
local quote = dofile "lua/iocp/json.lua"

local site = arg[1]
local pages, anchors, names = {}, {}, {} -- pages: their texts, by path

local function open(path, mode)
  return io.open(site .. "/" .. path, mode)
end

local function exists(path)
  local file = path ~= "" and open(path, "r")
  return file and file:close() and true
end

local function write(path, text)
  local file = assert(open(path, "w"))
  file:write(text)
  file:close()
end

-- "a/b" as "c/d.html" says it: "c/a/b".
local function resolve(from, path)
  local whole, again = (from:match("^.*/") or "") .. path, 1
  while again > 0 do
    whole, again = whole:gsub("[^/]+/%.%./", "", 1)
  end
  return whole
end

-- ---- links between chapters ----

-- Where a file of the project is in the site, if it is.
local function place_of(path)
  local name = path:match("[^/]+$") or ""
  for _, place in ipairs { "topics/" .. name .. ".html", "topics/" .. name, "examples/" .. name .. ".html" } do
    if exists(place) then
      return place
    end
  end
end

-- Chapters name each other as files of the project; to one that is no part of the site nothing leads.
local function map_links(page, text)
  local origin = (page:find("README", 1, true) or page:find("CHANGELOG", 1, true)) and "" or "doc/"
  text = text:gsub('<a href="([^"]*)">(.-)</a>', function(link, words)
    local path, anchor = link:match("^([^#]*)(#?.*)$")
    if path == "" and not text:find('id="' .. anchor:sub(2) .. '"', 1, true) and page:find("^modules") then
      path = "reference.md" -- whose text it is
    end
    if not link:find("^%a+:") and path ~= "" and not pages[resolve(page, path)] then
      local place = place_of(resolve(origin, path))
      return place and ('<a href="../%s%s">%s</a>'):format(place, anchor, words)
        or io.open(resolve(origin, path)) and words or nil
    end
  end)
  return (text:gsub('(<img src=")([^":]*)"', function(start, link)
    return ('%s../%s"'):format(start, place_of(resolve(origin, link)) or link)
  end))
end

-- ---- commands ----

local PROGRAMS = {}
for _, name in ipairs { "make", "luarocks", "eval", "curl", "lua", "luajit", "lua5.4", "iocp-worker" } do
  PROGRAMS[name] = true
end

-- LDoc takes whatever a chapter indents for Lua. In commands for a shell only what stands behind a # is set apart.
local function mark_commands(text)
  return (text:gsub("<pre>\n(.-)</pre>", function(code)
    local words = code:gsub("<[^>]*>", "")
    if PROGRAMS[words:match("^[%w.-]*")] then
      return "<pre>\n" .. words:gsub("(%s)(#%s[^\n]*)", '%1<span class="comment">%2</span>') .. "</pre>"
    end
  end))
end

-- ---- anchors ----

local function plain(html)
  return (html:gsub("<[^>]*>", ""):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&apos;", "'")
    :gsub("&amp;", "&"):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function add_anchors(page, text)
  if page:find("iocp.h", 1, true) then
    text = text:gsub("(IOCP_API [^\n(]-)(iocp_[%w_]+)%(", '%1<b id="%2">%2</b>(')
  end
  -- LDoc's own marks of headings, and its headings of examples.
  text = text:gsub('<p><a name="[^"]*"></a></p>\n?', ""):gsub("<main>%s*<h2>(.-)</h2>", "<main>\n<h1>%1</h1>")
  return (text:gsub("<h(%d)>(.-)</h%d>", function(level, title)
    local slug = plain(title):lower():gsub("[^%w%-_ ]", ""):gsub(" ", "-")
    return ('<h%s id="%s">%s</h%s>'):format(level, slug, title, level)
  end))
end

-- The page's anchors; of functions, types, and classes without a constructor, where their names lead.
local function learn(page, text)
  anchors[page] = {}
  for id in text:gmatch('id="([^"]*)"') do
    anchors[page][id] = true
  end
  for tag, id, title in text:gmatch('<([hb]%d?) id="([^"]*)">(.-)</[hb]%d?>') do
    local class = title:match("objects of (iocp[%w.]+)$")
    if tag == "h3" and page:find("^modules") or tag == "b" then
      names[id] = page .. "#" .. id
    elseif class and not names[class] then
      names[class] = page .. "#" .. id
    end
  end
end

-- ---- names ----

local TYPE = "%f[%w_.]%u%w*%l%w*"

-- What is marked as code, or as a type, and is a name that something is said of, leads there.
local function link_names(text)
  local kept = {}
  local function keep(part)
    kept[#kept + 1] = part
    return "\1" .. #kept .. "\1"
  end
  local function link(words)
    local name = words:match("^[%a_][%w_]*[.:][%w_.]*[%w_]") or words:match("^[%a_][%w_]*")
    local place = name and (names[name] or name:find("^%u") and names["iocp." .. name])
    return place and ('<a href="../%s">%s</a>'):format(place, words)
  end
  text = text:gsub("<h%d.-</h%d>", keep):gsub("<a .-</a>", keep):gsub("<code>([^<]*)</code>", function(words)
    return "<code>" .. (link(words) or words:gsub(TYPE, link)) .. "</code>"
  end)
  text = text:gsub("<span>([^<]*)</span>", function(types)
    return "<span>" .. types:gsub(TYPE, link) .. "</span>"
  end)
  return (text:gsub("\1(%d+)\1", function(n) return kept[tonumber(n)] end))
end

-- ---- the index ----

-- [title, place, text] of each heading with what stands behind it, and of each function of iocp.h with what is said
-- before it.
local function entries_of(page, text, entries)
  local function add(title, id, words)
    entries[#entries + 1] = ("[%s,%s,%s]"):format(quote(plain(title)), quote(page .. "#" .. id), quote(plain(words)))
  end
  local main = text:match("<main>(.*)</main>")
  local headings = main:gsub("<(h%d) id=", "\1%1 id=") .. "\1"
  for id, title, words in headings:gmatch('\1h%d id="([^"]*)">(.-)</h%d>([^\1]*)') do
    add(title, id, words)
  end
  for before, id in main:gmatch('(<span class="comment">[^\1]-)<b id="([^"]*)"') do
    add(id, id, before:match(".*(<span class=\"comment\">.*)"))
  end
end

-- ---- dead links ----

local function is_dead(page, link)
  local path, anchor = link:match("^([^#]*)#?(.*)$")
  local to = path == "" and page or resolve(page, path)
  return not link:find("^%a+:") and (not exists(to) or anchor ~= "" and not (anchors[to] or {})[anchor])
end

local function count_dead(page, text)
  local dead = 0
  for link in text:gmatch('<%a+ [^>]-[hs][er][ec]f?="([^"]*)"') do
    if is_dead(page, link) then
      print(("%s: nothing is at %s"):format(page, link))
      dead = dead + 1
    end
  end
  return dead
end

for path in io.popen(("cd '%s' && find . -name '*.html' | LC_ALL=C sort"):format(site)):lines() do
  local file = open(path:sub(3), "r")
  pages[path:sub(3)] = file:read("*a")
  file:close()
end
local order = {}
for page in pairs(pages) do
  order[#order + 1] = page
end
table.sort(order)
for _, page in ipairs(order) do
  pages[page] = add_anchors(page, mark_commands(map_links(page, pages[page])))
  learn(page, pages[page])
end
local entries, dead = {}, 0
for _, page in ipairs(order) do
  entries_of(page, pages[page], entries)
  pages[page] = page:find("/", 1, true) and link_names(pages[page]) or pages[page]
  write(page, pages[page])
end
write("index.js", "var pages = [\n" .. table.concat(entries, ",\n") .. "\n];\n")
for _, page in ipairs(order) do
  dead = dead + count_dead(page, pages[page])
end
print(("%d pages, %d entries in the index, %d dead links"):format(#order, #entries, dead))
os.exit(dead == 0)
