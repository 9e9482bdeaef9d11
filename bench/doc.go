// Package bench measures what the whole program promises, from outside: the built binary, real sockets, a store that is durable.
// Benchmarks of single packages stand beside the code. Every figure comes with a baseline that was measured in the same run, since
// the machines differ; results keeps dated ones, with the command and the machine.
package bench
