package atls_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"libatls.invalid/atls"
)

// An http.Client that talks to attested servers only.
func Example() {
	policy, err := atls.ReadPolicy("policy.json")
	if err != nil {
		log.Fatal(err)
	}
	client := http.Client{Transport: &atls.Transport{Config: atls.Config{Policy: policy}}}
	response, err := client.Get("https://llm.example/v1/models")
	var failure *atls.Error
	if errors.As(err, &failure) && failure.Verdict() != nil {
		log.Fatalf("refused because of %s:\n%s", failure.Check, failure.Verdict())
	}
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(atls.ResponseVerdict(response))
	io.Copy(os.Stdout, response.Body)
}

func ExampleDial() {
	policy, err := atls.ReadPolicy("policy.json")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := atls.Dial(ctx, "tcp", "database.example:5432", &atls.Config{Policy: policy})
	if err != nil {
		log.Fatal(err) // nothing was sent
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	conn.CloseWrite()
	io.Copy(os.Stdout, conn)
}

// A server in a dstack guest.
func ExampleServer() {
	chain, err := os.ReadFile("chain.pem")
	if err != nil {
		log.Fatal(err)
	}
	key, err := os.ReadFile("key.pem")
	if err != nil {
		log.Fatal(err)
	}
	server := &atls.Server{
		Handler:        http.FileServer(http.Dir("public")),
		CertificatePEM: chain,
		KeyPEM:         key,
		Evidence:       []atls.Evidence{atls.DstackAgent("")},
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	if err := server.ListenAndServe(":443"); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

func ExampleVerify() {
	evidence, err := os.ReadFile("evidence.json")
	if err != nil {
		log.Fatal(err)
	}
	collateral, err := os.ReadFile("collateral.json")
	if err != nil {
		log.Fatal(err)
	}
	policy, err := atls.ReadPolicy("policy.json")
	if err != nil {
		log.Fatal(err)
	}
	verdict, err := atls.Verify(&atls.Verification{
		EvidenceJSON: evidence, Collateral: collateral, Policy: policy, Time: time.Now(), SkipBinding: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verdict)
}
