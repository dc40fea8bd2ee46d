package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"libatls.invalid/atls/atlstest"
)

// The test is the program itself if this is set.
const asProgram = "CHAT_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program runs the example, which knows the simulator.
func program(t *testing.T, sim *atlstest.Simulator, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0], arguments...)
	command.Env = append(os.Environ(), asProgram+"=1", "ATLS_ROOT_PEM="+filepath.Join(sim.Folder, "web-ca.pem"),
		"ATLS_SIMULATED_ROOT="+filepath.Join(sim.Folder, "root.der"))
	return command
}

func TestTheChatPrintsVerdictAndTokensAndStops(t *testing.T) {
	sim := atlstest.Running(t)
	url := fmt.Sprintf("https://localhost:%d/v1/chat/completions", sim.Port("HTTP"))
	policy := filepath.Join(sim.Folder, "policy.json")
	out, err := program(t, sim, url, policy, "Hello!").CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, "trusted: tdx") || !strings.HasSuffix(text, "You said: Hello! And nobody but this enclave has read it.") {
		t.Fatal(text, err)
	}
	out, err = program(t, sim, url, filepath.Join(sim.Folder, "wrong-policy.json"), "Hello!").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "MEASUREMENT_MISMATCH") {
		t.Fatal(string(out), err)
	}
	slow := program(t, sim, url+"?pause=20000", policy, "Hello!")
	var text bytes.Buffer
	slow.Stdout, slow.Stderr = &text, &text
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(2*time.Second, func() { slow.Process.Signal(os.Interrupt) })
	begun := time.Now()
	if err := slow.Wait(); err == nil || time.Since(begun) > 15*time.Second || !strings.Contains(text.String(), "CANCELED") {
		t.Fatal(text.String(), err)
	}
}
