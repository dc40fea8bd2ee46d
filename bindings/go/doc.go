// Package atls opens TLS connections to servers in a TEE, and lets data out only once a server has proved what it runs. It is a binding of libatls, whose
// documents say what a policy is and what is checked.
//
// [Dial] gives a net.Conn, [Transport] is an http.RoundTripper, [Server] serves an http.Handler and proves itself, [Verify] judges evidence without a
// connection. Package atlstest has a simulated TEE for tests.
//
// Nothing that a program writes is sent before the verdict, and there are no unattested connections: a server that no policy covers is an error.
// Failures are an [*Error], which names the check that failed and has the verdict; errors.Is tells what kind it is.
//
// # Goroutines and memory
//
// The library's I/O runs on at most four threads of its own, however many connections there are. One goroutine, parked in the netpoller, takes its events.
// A connection that waits holds no goroutine and no thread. What a program forgets to close is closed when it is collected; do not rely on it, since what
// it holds is not on Go's heap.
package atls
