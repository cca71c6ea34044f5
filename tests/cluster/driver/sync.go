package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	secretFailed = "FailedToCreateSecret"

	// soon is when an object that is missing is looked for again; later is when
	// a Secret that is in order is looked at again, in case somebody changed it.
	soon  = 5 * time.Second
	later = 5 * time.Minute
)

// fewTries is how often one write to the API server is tried in a row.
var fewTries = wait.Backoff{Steps: 5, Duration: time.Millisecond, Factor: 1, Jitter: 0.1}

// syncer makes Kubernetes Secrets of the files in mounted volumes, whenever a
// pod status of this node appears or changes.
type syncer struct {
	cluster *cluster
	driver  string
	events  record.EventRecorder
	queue   workqueue.TypedRateLimitingInterface[cache.ObjectName]
	mutex   sync.Mutex // the owner patcher and a reconcile take turns
}

func newSyncer(c *cluster, driver string) (*syncer, error) {
	s := &syncer{
		cluster: c, driver: driver, events: c.recorder("csi-secrets-store-controller"),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
	enqueue := func(object any) {
		if name, err := cache.ObjectToName(object); err == nil {
			s.queue.Add(name)
		}
	}
	_, err := c.statuses.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue,
		UpdateFunc: func(before, after any) {
			if before.(metav1.Object).GetResourceVersion() != after.(metav1.Object).GetResourceVersion() {
				enqueue(after)
			}
		},
	})
	return s, err
}

// run reconciles one status after another until the context ends.
func (s *syncer) run(ctx context.Context) {
	go func() {
		<-ctx.Done()
		s.queue.ShutDown()
	}()
	for {
		name, shutdown := s.queue.Get()
		if shutdown {
			return
		}
		again, err := s.reconcile(ctx, name)
		switch {
		case err != nil:
			klog.ErrorS(err, "reconcile failed", "spcps", name)
			s.queue.AddRateLimited(name)
		case again > 0:
			s.queue.Forget(name)
			s.queue.AddAfter(name, again)
		default:
			s.queue.Forget(name)
		}
		s.queue.Done(name)
	}
}

// reconcile makes the Secrets of one pod status. It returns when to look again.
func (s *syncer) reconcile(ctx context.Context, name cache.ObjectName) (time.Duration, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	status, err := s.cluster.podStatus(name.Namespace, name.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pod, err := s.cluster.pod(name.Namespace, status.Status.PodName)
	if err != nil {
		return soon, ignoreNotFound(err)
	}
	if hasEnded(pod) {
		return 0, nil
	}
	class, err := s.cluster.class(name.Namespace, status.Status.ClassName)
	if err != nil {
		return soon, ignoreNotFound(err)
	}
	if len(class.Spec.SecretObjects) == 0 {
		return 0, nil
	}
	if err := checkTarget(s.driver, status, pod); err != nil {
		return 0, err
	}
	files, err := volumeFiles(status.Status.TargetPath)
	if err != nil {
		s.events.Eventf(pod, corev1.EventTypeWarning, secretFailed, "failed to get mounted files, err: %+v", err)
		return 0, err
	}
	var failures []error
	for _, wanted := range class.Spec.SecretObjects {
		failures = append(failures, s.make(ctx, pod, class, wanted, files))
	}
	return later, errors.Join(failures...)
}

// make makes one Secret. What cannot be collected becomes an event of the pod;
// a class that asks for nothing sensible is only logged.
func (s *syncer) make(ctx context.Context, pod *corev1.Pod, class *providerClass, wanted secretObject, files map[string]string) error {
	if err := wanted.check(); err != nil {
		return fmt.Errorf("failed to validate secret object in spc %s/%s, err: %w", class.Namespace, class.Name, err)
	}
	secret := wanted.skeleton(class.Namespace)
	if !line.overwritesSecrets {
		_, err := s.cluster.labelledSecret(ctx, class.Namespace, secret.Name, managedLabel)
		if !apierrors.IsNotFound(err) {
			return err // an existing Secret is left alone
		}
	}
	var err error
	if secret.Data, err = wanted.collect(files); err != nil {
		err = fmt.Errorf("failed to get data in spc %s/%s for secret %s, err: %w", class.Namespace, class.Name, secret.Name, err)
		s.events.Event(pod, corev1.EventTypeWarning, secretFailed, err.Error())
		return err
	}
	err = repeat(func() error { return s.write(ctx, secret) })
	if err != nil {
		s.events.Event(pod, corev1.EventTypeWarning, secretFailed, err.Error())
	}
	return err
}

// write creates the Secret. One that exists, whoever made it, is updated whole:
// data, labels and annotations replaced, owners emptied; another type makes the
// update fail, since a Secret's type cannot change. Older drivers leave it.
func (s *syncer) write(ctx context.Context, secret *corev1.Secret) error {
	client := s.cluster.core.Secrets(secret.Namespace)
	_, err := client.Create(ctx, secret, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if !line.overwritesSecrets {
		return nil
	}
	_, err = client.Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

// check demands the fields without which no Secret can be made. An empty type
// is refused here, although elsewhere it would be taken as Opaque.
func (o secretObject) check() error {
	switch {
	case o.SecretName == "":
		return errors.New("secret name is empty")
	case o.Type == "":
		return errors.New("secret type is empty")
	case len(o.Data) == 0:
		return errors.New("data is empty")
	}
	return nil
}

// skeleton is the Secret without its data. A label marks it as the driver's.
func (o secretObject) skeleton(namespace string) *corev1.Secret {
	labels := maps.Clone(o.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[managedLabel] = "true"
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: strings.TrimSpace(o.SecretName), Labels: labels, Annotations: o.Annotations,
		},
		Type: o.secretType(),
	}
}

func (o secretObject) secretType() corev1.SecretType {
	if trimmed := strings.TrimSpace(o.Type); trimmed != "" {
		return corev1.SecretType(trimmed)
	}
	return corev1.SecretTypeOpaque
}

// collect reads the Secret's data from the volume's files. White space around
// names is trimmed; each object name must be the path of a mounted file.
func (o secretObject) collect(files map[string]string) (map[string][]byte, error) {
	data := map[string][]byte{}
	for _, item := range o.Data {
		object, key := strings.TrimSpace(item.ObjectName), strings.TrimSpace(item.Key)
		if object == "" {
			return nil, errors.New("object name in secretObjects.data")
		}
		if key == "" {
			return nil, errors.New("key in secretObjects.data is empty")
		}
		path, found := files[object]
		if !found {
			return nil, fmt.Errorf("file matching objectName %s not found in the pod", object)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("failed to read file %s, err: %w", object, err)
		}
		if o.secretType() == corev1.SecretTypeTLS {
			if content, err = tlsPart(content, key); err != nil {
				return nil, fmt.Errorf("failed to get cert data from file %s, err: %w", path, err)
			}
		}
		data[key] = content
	}
	return data, nil
}

// checkTarget makes sure that the status speaks of that pod's volume.
func checkTarget(driver string, status *podStatus, pod *corev1.Pod) error {
	volume := classVolume(pod, driver, status.Status.ClassName)
	if volume == nil {
		return fmt.Errorf("failed to find secret provider class pod status volume for pod %s/%s", pod.Namespace, pod.Name)
	}
	uid, name := status.belongsTo(pod, volume)
	if !uid {
		return fmt.Errorf("secret provider class pod status targetPath did not match pod UID for pod %s/%s", pod.Namespace, pod.Name)
	}
	if !name {
		return fmt.Errorf("secret provider class pod status volume name did not match pod Volume for pod %s/%s", pod.Namespace, pod.Name)
	}
	return nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// repeat tries a write a few times in a row and returns its last error.
func repeat(write func() error) error {
	var last error
	err := wait.ExponentialBackoff(fewTries, func() (bool, error) {
		last = write()
		return last == nil, nil
	})
	if err != nil {
		return last
	}
	return nil
}
