// Command chat sends a prompt to a confidential LLM and prints its tokens as they arrive. The verdict comes first: no part of the prompt leaves this
// machine before the server has proved what it is. Interrupt it to cancel.
//
//	chat https://llm.example/v1/chat/completions POLICY.json PROMPT
//
// Variables of the environment let it run against the simulator, as the examples in C: ATLS_ROOT_PEM and ATLS_SIMULATED_ROOT.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"libatls.invalid/atls"
)

func chat(ctx context.Context, transport *atls.Transport, url, prompt string) error {
	// snippet: chat
	request, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(prompt)) // the context cancels
	if err != nil {
		return err
	}
	response, err := transport.Client().Do(request)
	if err != nil {
		return err // if errors.Is(err, atls.ErrAttestation), nothing was sent
	}
	defer response.Body.Close()
	fmt.Println(atls.ResponseVerdict(response))
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		fmt.Print(token(lines.Text()))
	}
	return lines.Err() // a stream that was cut short is io.ErrUnexpectedEOF
	// end of snippet
}

// token is the text in one line of the event stream.
func token(line string) string {
	var event struct {
		Choices []struct{ Delta struct{ Content string } }
	}
	data, ok := strings.CutPrefix(line, "data: ")
	if !ok || json.Unmarshal([]byte(data), &event) != nil || len(event.Choices) == 0 {
		return ""
	}
	return event.Choices[0].Delta.Content
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: chat URL POLICY.json PROMPT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url, policyFile, text string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	policy, err := atls.ReadPolicy(policyFile)
	if err != nil {
		return err
	}
	trust := &atls.VerifierConfig{}
	transport := &atls.Transport{Config: atls.Config{Policy: policy}}
	if file := os.Getenv("ATLS_SIMULATED_ROOT"); file != "" {
		root, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		trust.SimulatedRoots = map[string][]byte{"intel": root}
	}
	if file := os.Getenv("ATLS_ROOT_PEM"); file != "" {
		if transport.RootsPEM, err = os.ReadFile(file); err != nil {
			return err
		}
	}
	if transport.Verifier, err = atls.NewVerifier(trust); err != nil {
		return err
	}
	message := map[string]string{"role": "user", "content": text}
	prompt, err := json.Marshal(map[string]any{"stream": true, "messages": []any{message}})
	if err != nil {
		return err
	}
	return chat(ctx, transport, url, string(prompt))
}
