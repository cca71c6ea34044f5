package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Reasons of the events that only drivers up to 1.5.6 make.
const (
	mountRotated         = "MountRotationComplete"
	mountRotationFailed  = "MountRotationFailed"
	secretRotated        = "SecretRotationComplete"
	secretRotationFailed = "SecretRotationFailed"
)

// rotator is the rotation loop of drivers up to 1.5.6: at each tick all
// volumes of the node are queued, and one worker takes them one by one.
type rotator struct {
	cluster   *cluster
	providers *providers
	metrics   *metrics
	driver    string
	events    record.EventRecorder
	queue     workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

func newRotator(c *cluster, p *providers, m *metrics, driver string) *rotator {
	return &rotator{
		cluster: c, providers: p, metrics: m, driver: driver, events: c.recorder("csi-secrets-store-rotation"),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
}

// run rotates until the context ends.
func (r *rotator) run(ctx context.Context, interval time.Duration) {
	go r.work()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			r.queue.ShutDown()
			return
		case <-ticker.C:
			for _, object := range r.cluster.statuses.GetStore().List() {
				if name, err := cache.ObjectToName(object); err == nil {
					r.queue.Add(name)
				}
			}
		}
	}
}

// work takes volumes from the queue. A failed one is tried again after 10 s,
// beside the ticks.
func (r *rotator) work() {
	for {
		name, shutdown := r.queue.Get()
		if shutdown {
			return
		}
		// No deadline at all: a provider that hangs blocks the node's rotation.
		if err := r.rotate(context.Background(), name); err != nil {
			klog.ErrorS(err, "failed to reconcile spc for pod", "spcps", name, "controller", "rotation")
			if !apierrors.IsNotFound(err) {
				r.queue.AddAfter(name, 10*time.Second)
			}
		}
		r.queue.Done(name)
	}
}

// rotation is one volume's turn.
type rotation struct {
	status *podStatus
	pod    *corev1.Pod
	class  *providerClass
	// changed: the provider's versions differ from those recorded
	changed bool
	reason  string
}

func (r *rotator) rotate(ctx context.Context, name cache.ObjectName) error {
	turn := &rotation{reason: reasonRotate}
	status, err := r.cluster.podStatus(name.Namespace, name.Name)
	if err != nil {
		return err
	}
	turn.status = status
	err = r.reconcile(ctx, turn)
	var provider string
	if turn.class != nil {
		provider = turn.class.Spec.Provider
	}
	labels := []string{"provider", provider, "rotated", fmt.Sprint(turn.changed)}
	if err != nil {
		r.metrics.count("rotation_reconcile_error_total", append(labels, "error_type", turn.reason)...)
		return err
	}
	r.metrics.count("rotation_reconcile_total", labels...)
	return nil
}

// reconcile asks the provider again, writes what it answers, records versions
// that changed, and patches the Secrets. Pods that have ended are skipped.
func (r *rotator) reconcile(ctx context.Context, turn *rotation) (err error) {
	namespace, status := turn.status.Namespace, turn.status.Status
	if turn.pod, err = r.cluster.pod(namespace, status.PodName); err != nil {
		return fmt.Errorf("failed to get pod %s/%s, err: %w", namespace, status.PodName, err)
	}
	if hasEnded(turn.pod) {
		return nil
	}
	if turn.class, err = r.cluster.class(namespace, status.ClassName); err != nil {
		turn.reason = reasonClass
		return fmt.Errorf("failed to get secret provider class %s/%s, err: %w", namespace, status.ClassName, err)
	}
	if err := checkTarget(r.driver, turn.status, turn.pod); err != nil {
		return err
	}
	versions, err := r.ask(ctx, turn)
	if err != nil {
		return err
	}
	if err := r.recordVersions(ctx, turn, versions); err != nil {
		return err
	}
	return r.patchSecrets(ctx, turn)
}

// ask calls the provider as a mount does, but without the keys for the class
// and for the ephemeral volume, and with {} where there are no secrets.
func (r *rotator) ask(ctx context.Context, turn *rotation) (map[string]string, error) {
	pod := turn.pod
	attributes := maps.Clone(turn.class.Spec.Parameters)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes[podNameKey], attributes[namespaceKey] = pod.Name, pod.Namespace
	attributes[podUIDKey], attributes[accountKey] = string(pod.UID), pod.Spec.ServiceAccountName
	secrets, err := r.publishSecrets(ctx, turn)
	if err != nil {
		turn.reason = "NodePublishSecretRefNotFound"
		err = fmt.Errorf("failed to get node publish secret %s/%s, err: %w", pod.Namespace, turn.secretRef(r.driver), err)
		r.events.Event(pod, corev1.EventTypeWarning, mountRotationFailed, err.Error())
		return nil, err
	}
	request, err := encodeRequest(attributes, secrets, turn.status.Status.TargetPath)
	if err != nil {
		return nil, err
	}
	for _, object := range turn.status.Status.Objects {
		request.currentVersions = append(request.currentVersions, objectVersion{id: object.ID, version: object.Version})
	}
	client, err := r.providers.get(turn.class.Spec.Provider)
	if err != nil {
		turn.reason = "FailedToLookupProviderGRPCClient"
		err = fmt.Errorf("failed to lookup provider client: %q", turn.class.Spec.Provider)
		r.events.Event(pod, corev1.EventTypeWarning, mountRotationFailed, err.Error())
		return nil, err
	}
	versions, reason, err := mountContent(ctx, client, request)
	if err != nil {
		turn.reason = reason
		r.events.Eventf(pod, corev1.EventTypeWarning, mountRotationFailed, "provider mount err: %+v", err)
		return nil, fmt.Errorf("failed to rotate objects for pod %s/%s, err: %w", pod.Namespace, pod.Name, err)
	}
	return versions, nil
}

// secretRef is the Secret that the pod's volume names for publishing, or "".
func (t *rotation) secretRef(driver string) string {
	volume := classVolume(t.pod, driver, t.class.Name)
	if volume == nil || volume.CSI.NodePublishSecretRef == nil {
		return ""
	}
	return volume.CSI.NodePublishSecretRef.Name
}

// publishSecrets reads the Secret that kubelet would have passed. Only Secrets
// labelled as used are seen: one without the label counts as missing.
func (r *rotator) publishSecrets(ctx context.Context, turn *rotation) (map[string]string, error) {
	values := map[string]string{}
	name := turn.secretRef(r.driver)
	if name == "" {
		return values, nil
	}
	secret, err := r.cluster.labelledSecret(ctx, turn.pod.Namespace, name, usedLabel)
	if err != nil {
		return nil, err
	}
	for key, value := range secret.Data {
		values[key] = string(value)
	}
	return values, nil
}

// recordVersions writes the versions into the pod's status if any changed.
func (r *rotator) recordVersions(ctx context.Context, turn *rotation, versions map[string]string) error {
	if turn.changed = differs(turn.status.Status.Objects, versions); !turn.changed {
		return nil
	}
	r.events.Eventf(turn.pod, corev1.EventTypeNormal, mountRotated,
		"successfully rotated mounted contents for spc %s/%s", turn.class.Namespace, turn.class.Name)
	turn.status.Status.Objects = sortedObjects(versions)
	if err := repeat(func() error { return r.cluster.updateObjects(ctx, turn.status) }); err != nil {
		r.events.Eventf(turn.pod, corev1.EventTypeWarning, mountRotationFailed,
			"failed to update versions in spc pod status %s, err: %+v", turn.class.Name, err)
		return fmt.Errorf("failed to update spc pod status, err: %w", err)
	}
	return nil
}

func differs(recorded []mountedObject, versions map[string]string) bool {
	if len(recorded) != len(versions) {
		return true
	}
	for _, object := range recorded {
		if version, known := versions[object.ID]; !known || strings.TrimSpace(version) != strings.TrimSpace(object.Version) {
			return true
		}
	}
	return false
}

// patchSecrets gives existing Secrets the new data where it differs. One that
// fails does not keep the others from being patched.
func (r *rotator) patchSecrets(ctx context.Context, turn *rotation) error {
	if len(turn.class.Spec.SecretObjects) == 0 {
		return nil
	}
	files, err := volumeFiles(turn.status.Status.TargetPath)
	if err != nil {
		r.events.Eventf(turn.pod, corev1.EventTypeWarning, secretRotationFailed, "failed to get mounted files, err: %+v", err)
		return fmt.Errorf("failed to get mounted files, err: %w", err)
	}
	var failures []error
	for _, wanted := range turn.class.Spec.SecretObjects {
		name := strings.TrimSpace(wanted.SecretName)
		err := wanted.check()
		var data map[string][]byte
		if err == nil {
			data, err = wanted.collect(files)
		}
		if err != nil {
			r.events.Eventf(turn.pod, corev1.EventTypeWarning, secretRotationFailed, "failed to get data in spc %s/%s for secret %s, err: %+v",
				turn.class.Namespace, turn.class.Name, name, err)
			failures = append(failures, err)
			continue
		}
		if err := repeat(func() error { return r.patchSecret(ctx, turn.class.Namespace, name, data) }); err != nil {
			r.events.Eventf(turn.pod, corev1.EventTypeWarning, secretRotationFailed, "failed to patch secret %s with new data, err: %+v", name, err)
			continue
		}
		r.events.Eventf(turn.pod, corev1.EventTypeNormal, secretRotated, "successfully rotated K8s secret %s", name)
	}
	return errors.Join(failures...)
}

// patchSecret merges the data into the driver's Secret, unless it has it
// already. A Secret that somebody else made is not found.
func (r *rotator) patchSecret(ctx context.Context, namespace, name string, data map[string][]byte) error {
	secret, err := r.cluster.labelledSecret(ctx, namespace, name, managedLabel)
	if err != nil || maps.EqualFunc(secret.Data, data, bytes.Equal) {
		return err
	}
	// Keys that the class no longer lists are taken out by a null.
	changes := map[string]any{}
	for key := range secret.Data {
		changes[key] = nil
	}
	for key, value := range data {
		changes[key] = value
	}
	patch, err := json.Marshal(map[string]any{"data": changes})
	if err != nil {
		return err
	}
	_, err = r.cluster.core.Secrets(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
