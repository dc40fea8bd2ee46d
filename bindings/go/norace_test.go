//go:build !race

package atls_test

// raceEnabled says whether the race detector runs, which holds memory of its own.
const raceEnabled = false
