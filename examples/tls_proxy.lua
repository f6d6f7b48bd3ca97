--- A proxy that speaks TLS: who connects to it does so in TLS, and what it leads to need not. Needs LuaSec (Debian:
-- lua-sec). A fiber for each direction of each connection, in one thread.
--
--     lua examples/tls_proxy.lua                               tries itself against a server of its own, then ends
--     lua examples/tls_proxy.lua 8443 chain.pem key.pem localhost 80
local iocp = require "iocp"

local IDLE = 60000 -- ms that a connection may be without traffic

--- Passes on what comes until it ends.
local function pump(from, to)
  local data = from:read_some()
  while data and to:write(data) do
    data = from:read_some()
  end
end

--- What the target has said is all; TLS has no end of one side alone.
local function pump_back(target, client)
  pump(target, client)
  client:close()
end

--- Joins a client, once it speaks TLS, to what the proxy leads to.
local function serve(client, options)
  local ok, message = client:timeout(IDLE):starttls { certificate = options.certificate, key = options.key }
  local target
  if ok then
    target, message = iocp.connect(options.host, options.port, { timeout = IDLE })
  end
  if target then
    local back = iocp.spawn(pump_back, target, client)
    pump(client, target)
    target:shutdown()
    back:wait()
    target:close()
  else
    io.stderr:write("not served: ", message, "\n")
  end
  client:close()
end

local function listen(port, options)
  local server = assert(iocp.listen("127.0.0.1", port))
  iocp.spawn(function()
    local client = server:accept()
    while client do
      iocp.spawn(serve, client, options)
      client = server:accept()
    end
  end)
  return server
end

-- ---- trying itself --------------------------------------------------------------------------------------------------

--- A certificate for localhost that signs itself, and its key: files that openssl makes.
local function make_certificate()
  local certificate, key = os.tmpname(), os.tmpname()
  local process, message = iocp.Process {
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key,
    stderr = false,
  }
  if process then
    local _, code = process:wait()
    message = code ~= 0 and "openssl made no certificate" or nil
  end
  return certificate, key, message
end

local function echo(server)
  local client = server:accept()
  while client do
    iocp.spawn(function(own)
      local line = own:read()
      while line do
        own:write("echo of ", line, "\n")
        line = own:read()
      end
      own:close()
    end, client)
    client = server:accept()
  end
end

local function ask(port, certificate, number)
  local stream = assert(iocp.connect("127.0.0.1", port, { timeout = 10000 }))
  assert(stream:starttls({ cafile = certificate }, "localhost"))
  stream:write("question ", number, "\n")
  assert(stream:read() == "echo of question " .. number)
  stream:close()
end

local function try()
  local certificate, key, message = make_certificate()
  if message then
    print("cannot try itself: " .. message)
  else
    local target = assert(iocp.listen("127.0.0.1"))
    local host, port = target:address()
    iocp.spawn(echo, target)
    local proxy = listen(0, { certificate = certificate, key = key, host = host, port = port })
    local _, number = proxy:address()
    iocp.run(function()
      for i = 1, 20 do
        iocp.spawn(ask, number, certificate, i)
      end
    end)
    print("20 answers came through TLS")
    proxy:close()
    target:close()
  end
  os.remove(certificate)
  os.remove(key)
end

if not pcall(require, "ssl") then
  print("LuaSec is not there: nothing to show")
elseif arg[1] then
  iocp.run(listen, tonumber(arg[1]), { certificate = arg[2], key = arg[3], host = arg[4], port = arg[5] })
else
  iocp.run(try)
end
