package process

// For tests of what has no other way in.
var (
	LimitMemory = limitMemory
	ParseLimit  = parseLimit
)
