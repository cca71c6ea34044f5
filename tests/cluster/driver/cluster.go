package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

const (
	group      = "secrets-store.csi.x-k8s.io"
	apiVersion = group + "/v1"
	statusKind = "SecretProviderClassPodStatus"

	nodeLabel    = "internal." + labelDomain + "/node-name"
	managedLabel = labelDomain + "/managed"
	usedLabel    = labelDomain + "/used"
	labelDomain  = "secrets-store.csi.k8s.io"
)

var (
	classes  = schema.GroupVersionResource{Group: group, Version: "v1", Resource: "secretproviderclasses"}
	statuses = schema.GroupVersionResource{Group: group, Version: "v1", Resource: "secretproviderclasspodstatuses"}
)

// providerClass is a SecretProviderClass.
type providerClass struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Provider      string            `json:"provider"`
		Parameters    map[string]string `json:"parameters"`
		SecretObjects []secretObject    `json:"secretObjects"`
	} `json:"spec"`
}

// secretObject is a Kubernetes Secret to make from a volume's files.
type secretObject struct {
	SecretName  string            `json:"secretName"`
	Type        string            `json:"type"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Data        []secretData      `json:"data"`
}

type secretData struct {
	ObjectName string `json:"objectName"`
	Key        string `json:"key"`
}

// cluster is the driver's view of the API server: classes, and the pods and
// pod statuses of its own node, from informers; the rest is asked for.
type cluster struct {
	node    string
	core    core.CoreV1Interface
	dynamic dynamic.Interface

	classes, statuses, pods cache.SharedIndexInformer
	broadcaster             record.EventBroadcaster
}

func newCluster(config *rest.Config, node string) (*cluster, error) {
	typed, err := core.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	pods := cache.NewListWatchFromClient(typed.RESTClient(), "pods", "", podsOf(node))
	c := &cluster{
		node: node, core: typed, dynamic: untyped,
		classes:     informer(listWatch(untyped, classes, ""), new(unstructured.Unstructured)),
		statuses:    informer(listWatch(untyped, statuses, nodeLabel+"="+node), new(unstructured.Unstructured)),
		pods:        informer(pods, new(corev1.Pod)),
		broadcaster: record.NewBroadcaster(),
	}
	c.broadcaster.StartRecordingToSink(&core.EventSinkImpl{Interface: typed.Events("")})
	return c, nil
}

// run starts the informers and waits until each has its first list.
func (c *cluster) run(ctx context.Context) error {
	synced := []cache.InformerSynced{}
	for _, i := range []cache.SharedIndexInformer{c.classes, c.statuses, c.pods} {
		go i.Run(ctx.Done())
		synced = append(synced, i.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return fmt.Errorf("the caches did not fill: are both CRDs established?")
	}
	return nil
}

// recorder makes events on behalf of one component of the driver.
func (c *cluster) recorder(component string) record.EventRecorder {
	return c.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
}

// class reads a class from the cache: one that was created a moment ago may
// not be there yet.
func (c *cluster) class(namespace, name string) (*providerClass, error) {
	found := new(providerClass)
	object, err := cached(c.classes, classes.GroupResource(), namespace, name)
	if err != nil {
		return nil, err
	}
	return found, fromUnstructured(object, found)
}

// podStatus reads a pod status of this node from the cache.
func (c *cluster) podStatus(namespace, name string) (*podStatus, error) {
	found := new(podStatus)
	object, err := cached(c.statuses, statuses.GroupResource(), namespace, name)
	if err != nil {
		return nil, err
	}
	return found, fromUnstructured(object, found)
}

// pod reads a pod of this node from the cache.
func (c *cluster) pod(namespace, name string) (*corev1.Pod, error) {
	object, err := cached(c.pods, corev1.Resource("pods"), namespace, name)
	if err != nil {
		return nil, err
	}
	return object.(*corev1.Pod), nil
}

// labelledSecret reads a Secret that has a label set to true. One without it
// counts as missing: the driver watches by label and sees no other.
func (c *cluster) labelledSecret(ctx context.Context, namespace, name, label string) (*corev1.Secret, error) {
	secret, err := c.core.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err == nil && secret.Labels[label] != "true" {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return secret, err
}

func cached(from cache.SharedIndexInformer, resource schema.GroupResource, namespace, name string) (any, error) {
	object, found, err := from.GetStore().GetByKey(namespace + "/" + name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, apierrors.NewNotFound(resource, name)
	}
	return object, nil
}

func fromUnstructured(object, into any) error {
	content := object.(*unstructured.Unstructured).UnstructuredContent()
	return runtime.DefaultUnstructuredConverter.FromUnstructured(content, into)
}
