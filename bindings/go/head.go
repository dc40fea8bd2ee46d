package atls

// #include "shim.h"
import "C"

import (
	"net/http"
	"strconv"
	"strings"
)

// head is a copy of what was received before a body, or after it.
type head struct {
	status, minor int
	reason        string
	fields        http.Header
}

func headOf(from *C.atls_head) *head {
	made := &head{
		status: int(C.atls_head_status(from)),
		minor:  int(C.atls_head_minor_version(from)),
		reason: goString(C.atls_head_reason(from)),
		fields: make(http.Header),
	}
	for i := range C.atls_head_count(from) {
		name := http.CanonicalHeaderKey(goString(C.atls_head_name(from, i)))
		made.fields[name] = append(made.fields[name], goString(C.atls_head_value(from, i)))
	}
	return made
}

// nativeFields makes a list of header fields for the library, which is the caller's to free; skip says which are left out.
func nativeFields(s *setup, fields http.Header, skip func(name string) bool) *C.atls_headers {
	var list *C.atls_headers
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_headers_new(true, &list, failure) })
	for name, values := range fields {
		if skip(name) {
			continue
		}
		text := s.text("header field", name)
		for _, value := range values {
			s.do(func(failure **C.atls_error) C.atls_status {
				return C.atls_headers_add(list, text, bytesOf([]byte(tidy(value))), failure)
			})
		}
	}
	return list
}

// tidy makes a value fit for a header field as net/http does: line breaks become spaces.
func tidy(value string) string {
	return strings.Trim(strings.NewReplacer("\n", " ", "\r", " ").Replace(value), " \t")
}

// contentLength is the length that header fields announce; -1 if they announce none, or nonsense.
func contentLength(fields http.Header) int64 {
	length, err := strconv.ParseUint(fields.Get("Content-Length"), 10, 63)
	if err != nil {
		return -1
	}
	return int64(length)
}
