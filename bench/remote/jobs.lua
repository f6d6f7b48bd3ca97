--- What the workers of bench/remote do.
return {
  add = function(a, b) return a + b end,
}
