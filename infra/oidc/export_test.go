package oidc

// Cached is how many tokens the verifier remembers.
func (v *Verifier) Cached() int {
	n := 0
	for i := range v.cache.shard {
		v.cache.shard[i].RLock()
		n += len(v.cache.shard[i].callers)
		v.cache.shard[i].RUnlock()
	}
	return n
}

// Shrink replaces the cache by an empty one of the given size.
func (v *Verifier) Shrink(size int) { v.cache = newCache(size) }
