//go:build race

package atls_test

const raceEnabled = true
