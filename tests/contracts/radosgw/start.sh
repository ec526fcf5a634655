#!/bin/sh
# One monitor, one daemon for the disk and one S3 gateway in one container, made anew at every start and forgotten after.
# ACCESS_KEY and SECRET_KEY come from outside. It serves on port 8000 after some 20 seconds.
set -eu
ip=127.0.0.1
fsid=$(cat /proc/sys/kernel/random/uuid)
mkdir -p /etc/ceph /run/ceph /var/lib/ceph/mon/ceph-a /var/lib/ceph/osd/ceph-0 /var/lib/ceph/radosgw/ceph-gw
cat > /etc/ceph/ceph.conf <<CONF
[global]
fsid = $fsid
mon_host = v2:$ip:3300,v1:$ip:6789
mon_initial_members = a
public_network = 127.0.0.0/8
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
auth_allow_insecure_global_id_reclaim = true
osd_memory_target = 1073741824
bluestore_block_size = 10737418240
[client.rgw.gw]
rgw_frontends = beast port=8000 tcp_nodelay=1
rgw_crypt_require_ssl = false
CONF
ceph-authtool --create-keyring /tmp/mon.keyring --gen-key -n mon. --cap mon 'allow *'
ceph-authtool --create-keyring /etc/ceph/ceph.client.admin.keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ceph-authtool /tmp/mon.keyring --import-keyring /etc/ceph/ceph.client.admin.keyring
monmaptool --create --addv a "[v2:$ip:3300,v1:$ip:6789]" --fsid "$fsid" /tmp/monmap
ceph-mon --mkfs -i a --monmap /tmp/monmap --keyring /tmp/mon.keyring
ceph-mon -i a
osd=$(cat /proc/sys/kernel/random/uuid)
secret=$(ceph-authtool --gen-print-key)
echo "{\"cephx_secret\": \"$secret\"}" | ceph osd new "$osd" -i -
ceph-authtool --create-keyring /var/lib/ceph/osd/ceph-0/keyring --name osd.0 --add-key "$secret"
ceph-osd -i 0 --mkfs --osd-uuid "$osd"
ceph-osd -i 0
ceph auth get-or-create client.rgw.gw mon 'allow rw' osd 'allow rwx' -o /var/lib/ceph/radosgw/ceph-gw/keyring
radosgw-admin user create --uid=test --display-name=test --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY" >/dev/null
exec radosgw -f --cluster ceph --name client.rgw.gw --keyring /var/lib/ceph/radosgw/ceph-gw/keyring
