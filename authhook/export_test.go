package authhook

// Registered returns how many sessions the registry holds by owner and by MQTT client ID.
func (h *Hook) Registered() (byOwner, byMQTTID int) {
	h.live.mu.RLock()
	defer h.live.mu.RUnlock()
	for _, sessions := range h.live.byOwner {
		byOwner += len(sessions)
	}
	for _, sessions := range h.live.byMQTTID {
		byMQTTID += len(sessions)
	}
	return byOwner, byMQTTID
}
