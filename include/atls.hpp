/**
 * \file atls.hpp
 * Attested TLS for C++17 and later: the handles of atls.h as move-only classes. Header only.
 *
 * A method has the name of its function in atls.h, which says what it does; comments here tell what C++ adds.
 *
 * \code{.cc}
 * auto config = atls::config::make();                       // no host: requests name theirs
 * config.set_policy(atls::policy::parse(json));
 * auto client = atls::client::make(config);
 * auto exchange = client.get_url("https://llm.example/");       // connects, attests, judges; only then sends
 * for (std::string_view piece : exchange.body())
 *     std::cout << piece;
 * \endcode
 *
 * \par Failures
 * A call that fails throws atls::error, which has the status, the message and, if a server was refused, the verdict.
 * With ATLS_NO_EXCEPTIONS defined before the header is included, nothing throws, and a call that can fail returns an
 * atls::result<T>. Each is `atls::outcome<T>` below. Files of one program may differ in this: the names of the two do not
 * collide.
 *
 * \par Callables
 * They may throw. No exception crosses into the library: it is caught, and
 * - of a handler of events: the operation is canceled, none of its handlers is called again, and wait() of the operation
 *   throws the exception;
 * - of a body that a request is given as a function: the exchange is canceled, and the call that would report this (of the
 *   client, the connection or the exchange; wait() if it is event-driven) throws the exception;
 * - of a server's handler of requests, or a handler of one request's events: the request is answered with 500 or, if its
 *   response has begun, its connection is closed. The server continues. Its wait() throws the first such exception.
 * - of a source of evidence: there is no evidence. Of a resolver: the name has no address. Of a log or key log: the line is
 *   lost.
 *
 * With ATLS_NO_EXCEPTIONS callables must not throw: std::terminate() follows.
 *
 * \par Lifetimes
 * Destructors drop the reference and do not wait, with one exception: that of a queue stops the queue, so that no handler
 * runs after it. Declare what handlers refer to before the queue. Text and bytes that a method returns as a view are valid
 * as long as the object.
 *
 * Threads, as atls.h says: builders (config, request, headers, ..) belong to one thread at a time, everything else may be
 * used from any. An object that one thread moves or destroys must not be used by another meanwhile: share() gives it an
 * object of its own.
 */
#ifndef ATLS_HPP
#define ATLS_HPP

#if !defined(ATLS_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#error "atls.hpp: exceptions are off; define ATLS_NO_EXCEPTIONS to get results"
#endif

#include <atls.h>

#ifdef ATLS_NO_EXCEPTIONS
#define ATLS_HPP_BEGIN namespace atls { inline namespace results {
#else
#define ATLS_HPP_BEGIN namespace atls { inline namespace throwing {
#endif
#define ATLS_HPP_END } }

#include "atls/handle.hpp"
#include "atls/error.hpp"
#include "atls/buffer.hpp"
#include "atls/policy.hpp"
#include "atls/callback.hpp"
#include "atls/head.hpp"
#include "atls/event.hpp"
#include "atls/verify.hpp"
#include "atls/config.hpp"
#include "atls/request.hpp"
#include "atls/exchange.hpp"
#include "atls/client.hpp"
#include "atls/stream.hpp"
#include "atls/server.hpp"
#include "atls/form.hpp"

#undef ATLS_HPP_BEGIN
#undef ATLS_HPP_END

#endif
