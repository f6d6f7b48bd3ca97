--- What servers of others send that know no HTTP: an answer of so many bytes, made before.
-- @module bench.http.answer
return function(size)
  local body = size == 13 and "Hello, world\n" or ("x"):rep(size)
  return "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: "
    .. #body .. "\r\n\r\n" .. body
end
