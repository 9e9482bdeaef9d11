// Package topicacl turns scope strings into topic grants, and topic grants into verdicts.
//
// A scope such as "pub:parking/v1/+/state?qos=1" is parsed strictly (ParseScope), a set of them is compiled (Compile) into Grants,
// and Grants answers three questions: may a session publish this message, may it subscribe to this filter, may this message be
// delivered to it. Scope templates ("pub:{labels.site}/{client_id}/#") are checked and expanded here too, because only the scope
// syntax knows what a value must not be able to do. Covers says whether one scope contains another, for downscoping; Holds says
// the same of a set of grants. ParseAIF and FormatAIF translate from and to the Authorization Information Format (RFC 9431 §2.3).
//
// It is an allow-list: whatever is not granted is refused, and whatever is malformed grants nothing. Names are compared byte by
// byte; nothing is normalised or folded, except that reserved first levels such as $share are recognised in any letter case.
//
// The package is pure and must stay so: no I/O, no clock, no logging, no dependency beyond the standard library. It must not know
// tokens, sessions, clients or any broker.
package topicacl
