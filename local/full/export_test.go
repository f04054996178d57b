package full

// Ports are the defaults of ports, by variable.
func (c Config) Ports() map[string]string {
	all := map[string]string{}
	for _, v := range c.ports() {
		all[v.name] = v.value
	}
	return all
}

// NoteImport and ForgetImport are of the realm.
func (c Config) NoteImport() (bool, error) { return c.noteImport() }

func (c Config) ForgetImport() error { return c.forgetImport() }
