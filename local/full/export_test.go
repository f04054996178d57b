package full

// Ports are the defaults of ports, by variable.
func (c Config) Ports() map[string]string {
	all := map[string]string{}
	for _, v := range c.ports() {
		all[v.name] = v.value
	}
	return all
}
