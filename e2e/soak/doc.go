// Package soak lets a crowd of clients loose on the built program for a while: devices that come and go, renew, take themselves over and
// say too much, readers that do not read, strangers, and an operator who takes rights away. A model of its own knows what each client may
// do at each moment and judges every answer and every message. At the end every count has to agree.
package soak
