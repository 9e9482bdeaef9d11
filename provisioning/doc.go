// Package provisioning is the domain of the registry: who may ask for a token,
// with which secret, and what the token may hold.
//
// A [Client] is anything with a client ID: a device, a backend service or an
// operator. Its rights are its own [Grant] values and those of its [Role]
// values; both are templates, expanded for the client when a token is minted.
// Writes go through [Service], which validates, keeps the rules between records
// and hands every write to the [Store] as one versioned [ChangeSet]. Reads go
// through [Registry], which also checks secrets and certificates.
//
// What takes a right away goes in one order: the store first, then the
// [Revocations] in memory, which are asked whenever a token is presented, then the
// live sessions. So whoever connects meanwhile is either closed or refused.
//
// The package knows no HTTP, no JWT, no MQTT and no database: scope strings are
// judged by a [ScopeLanguage], live sessions are closed by a [SessionCloser] and
// judged anew by a [SessionJudge], and records are kept by a Store, all of them
// given by the caller. It imports nothing else of this module.
package provisioning
