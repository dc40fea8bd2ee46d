package atlstest_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

// How a program's own tests are written.
func TestAProgramAgainstASimulatedTEE(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "hello" || err != nil {
		t.Fatal(string(body), err)
	}
	if !atls.ResponseVerdict(response).Trusted() {
		t.Fatal("not attested")
	}
}
