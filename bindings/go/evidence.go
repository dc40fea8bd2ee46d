package atls

// #include "shim.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// Evidence is where evidence of this side comes from: of a server, or of a client that is asked for it. Make one with DstackAgent, TSM, NSM,
// AzureVTPM or EvidenceFunc.
type Evidence interface {
	client(s *setup, config *C.atls_config)
	server(s *setup, config *C.atls_server_config)
}

// DstackAgent is evidence from a dstack guest agent at a Unix socket; "" is its usual place.
func DstackAgent(socket string) Evidence { return machine{kind: dstack, path: socket} }

// TSM is evidence from configfs-tsm of the Linux kernel; "" is its usual folder.
func TSM(folder string) Evidence { return machine{kind: tsm, path: folder} }

// NSM is evidence from the security module of an AWS Nitro enclave; "" is its usual device.
func NSM(device string) Evidence { return machine{kind: nsm, path: device} }

// AzureVTPM is evidence of an Azure confidential virtual machine; "" is the usual device, and the usual metadata service.
func AzureVTPM(device, metadataURL string) Evidence {
	return machine{kind: azure, path: device, metadata: metadataURL}
}

// EvidenceFunc is evidence that the program makes itself. tee is the kind, as docs/protocol.md names it: "tdx", "snp" and so on. The function
// returns the JSON of the evidence object, bound to binder; if fresh, all of it must be made now. It is called once at a time, and may wait.
func EvidenceFunc(tee string, evidence func(binder [64]byte, fresh bool) ([]byte, error)) Evidence {
	return program{tee, evidence}
}

type kind int

const (
	dstack kind = iota
	tsm
	nsm
	azure
)

type machine struct {
	kind           kind
	path, metadata string
}

func (m machine) client(s *setup, config *C.atls_config) {
	path, metadata := s.optional("path", m.path), s.optional("metadata URL", m.metadata)
	s.do(func(failure **C.atls_error) C.atls_status {
		switch m.kind {
		case tsm:
			return C.atls_config_set_tsm(config, path, failure)
		case nsm:
			return C.atls_config_set_nsm(config, path, failure)
		case azure:
			return C.atls_config_set_azure_vtpm(config, path, metadata, failure)
		}
		return C.atls_config_set_dstack_agent(config, path, failure)
	})
}

func (m machine) server(s *setup, config *C.atls_server_config) {
	path, metadata := s.optional("path", m.path), s.optional("metadata URL", m.metadata)
	s.do(func(failure **C.atls_error) C.atls_status {
		switch m.kind {
		case tsm:
			return C.atls_server_config_set_tsm(config, path, failure)
		case nsm:
			return C.atls_server_config_set_nsm(config, path, failure)
		case azure:
			return C.atls_server_config_set_azure_vtpm(config, path, metadata, failure)
		}
		return C.atls_server_config_set_dstack_agent(config, path, failure)
	})
}

type program struct {
	tee      string
	evidence func(binder [64]byte, fresh bool) ([]byte, error)
}

func (p program) client(s *setup, config *C.atls_config) {
	tee := s.text("kind", p.tee)
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atlsgo_config_set_evidence(config, tee, C.uintptr_t(cgo.NewHandle(p)), failure)
	})
}

func (p program) server(s *setup, config *C.atls_server_config) {
	tee := s.text("kind", p.tee)
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atlsgo_server_set_evidence(config, tee, C.uintptr_t(cgo.NewHandle(p)), failure)
	})
}

// A panic of the program's function is its own: it ends the process, as in any goroutine.
//
//export atlsgoEvidence
func atlsgoEvidence(handle C.uintptr_t, binder *C.uint8_t, fresh C.bool, evidence **C.atls_buf) C.atls_status {
	source := cgo.Handle(handle).Value().(program)
	made, err := source.evidence([64]byte(unsafe.Slice((*byte)(binder), 64)), bool(fresh))
	if err != nil {
		return C.ATLS_NO_EVIDENCE
	}
	return C.atls_buf_copy(bytesOf(made), evidence, nil)
}
