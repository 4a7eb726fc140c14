package house

import "strings"

// What each program is told beyond what all are told. Keys are documented in
// each program's Config.

func identitySettings(h *House) map[string]string {
	return map[string]string{
		"key_encryption_key": h.secret("identity-kek"),
		"token_key":          h.secret("identity-link"),
	}
}

func gatewaySettings(h *House) map[string]string {
	public := h.public
	return map[string]string{
		"http_listen": h.httpAddr, "grpc_listen": h.grpcAddr,
		"public_cert_file": public.Cert, "public_key_file": public.Key,
		"redis_url": h.stores.redis.URL(),
	}
}

func tenancySettings(h *House) map[string]string {
	clusterHost, clusterPort, _ := strings.Cut(h.stores.postgres.Address(), ":")
	return map[string]string{
		"link_key":            h.secret("tenancy-link"),
		"subscriber_code_key": h.secret("subscriber-code"),
		"first_staff_token":   h.secret("first-staff"),
		"key_encryption_key":  h.secret("tenancy-kek"),
		"blob_url":            "file://" + h.objects(),

		"default_cluster_host":     clusterHost,
		"default_cluster_port":     clusterPort,
		"default_cluster_user":     provisioner,
		"default_cluster_password": h.secret(provisioner),
		"default_cluster_ca_file":  h.authority.CAFile(),
	}
}

func notificationSettings(h *House) map[string]string {
	host, port, _ := strings.Cut(h.stores.smtp.Addr().String(), ":")
	return map[string]string{
		"mail_host": host, "mail_port": port, "mail_security": "none",
		"console_url": "https://" + h.httpAddr,
	}
}

func licensingSettings(h *House) map[string]string {
	return map[string]string{
		"blob_url":           "file://" + h.objects(),
		"key_encryption_key": h.secret("licensing-kek"),
		"redis_url":          h.stores.redis.URL(),
	}
}

func exchangeSettings(h *House) map[string]string {
	return map[string]string{
		"blob_url":           "file://" + h.objects(),
		"key_encryption_key": h.secret("exchange-kek"),
	}
}

// The wrapped keys lie beside the objects, not among them: no copy of the objects holds the keys.
func backupSettings(h *House) map[string]string {
	return map[string]string{
		"blob_url":           "file://" + h.objects(),
		"key_blob_url":       "file://" + h.objects() + "-keys",
		"cache_dir":          h.objects() + "-cache",
		"region_blob_urls":   "eu-south=file://" + h.objects() + "-eu-south",
		"second_regions":     "eu-north=eu-south",
		"key_encryption_key": h.secret("backup-kek"),
	}
}
