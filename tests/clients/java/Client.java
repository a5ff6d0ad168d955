import com.nimbusds.oauth2.sdk.token.BearerTokenError;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.RequestBody;
import org.apache.hc.client5.http.config.RequestConfig;
import org.apache.hc.client5.http.impl.DefaultHttpRequestRetryStrategy;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManager;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.client5.http.ssl.DefaultClientTlsStrategy;
import org.apache.hc.core5.http.ClassicHttpRequest;
import org.apache.hc.core5.http.HttpEntity;
import org.apache.hc.core5.http.io.entity.ByteArrayEntity;
import org.apache.hc.core5.http.io.entity.EntityUtils;
import org.apache.hc.core5.http.io.support.ClassicRequestBuilder;
import org.apache.hc.core5.util.TimeValue;
import org.apache.hc.core5.util.Timeout;

/**
 * One cell of the matrix: `Client CLIENT CASE` does what the case says with this client, the way its users would, and prints one
 * line of JSON: what each request got, and what a library read in the challenges.
 */
final class Client {
    private static final String URL = System.getenv("URL");
    private static final Path PKI = Path.of(System.getenv("PKI"));
    private static final byte[] SMALL = "x".repeat(3_000).getBytes();
    private static final byte[] LARGE = "x".repeat(20_000_000).getBytes();
    private static Duration patience = Duration.ofSeconds(20);

    /** What a client got. */
    record Answer(int status, String challenge) {}

    /** What the cases ask of an HTTP client. */
    interface Http {
        Answer send(String method, String path, Map<String, String> headers, byte[] body) throws Exception;

        /** The next request takes a new connection. */
        void hangUp() throws Exception;

        /** From now on it tries again as it is told. */
        void retry() throws Exception;

        /** The body as it comes, of an answer with 200. */
        InputStream stream(String path, Map<String, String> headers) throws Exception;
    }

    private static Map<String, String> with(String token, String... more) {
        Map<String, String> named = new HashMap<>(Map.of("x-cell", System.getenv("CELL")));
        if (token != null) named.put("authorization", "Bearer " + System.getenv(token));
        for (int i = 0; i < more.length; i += 2) named.put(more[i], more[i + 1]);
        return named;
    }

    private static final X509TrustManager trust;
    private static final SSLContext tls;

    static {
        try {
            KeyStore roots = KeyStore.getInstance("PKCS12");
            roots.load(null, null);
            roots.setCertificateEntry("ca", certificate("ca.pem"));
            TrustManagerFactory trusted = TrustManagerFactory.getInstance("PKIX");
            trusted.init(roots);
            trust = (X509TrustManager) trusted.getTrustManagers()[0];

            String pem = Files.readString(PKI.resolve("alice.key")).replaceAll("-----.*?-----|\\s", "");
            var spec = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
            KeyStore own = KeyStore.getInstance("PKCS12");
            own.load(null, null);
            Certificate[] chain = {certificate("alice.pem")};
            own.setKeyEntry("alice", KeyFactory.getInstance("EC").generatePrivate(spec), new char[0], chain);
            KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
            keys.init(own, new char[0]);
            tls = SSLContext.getInstance("TLS");
            tls.init(keys.getKeyManagers(), trusted.getTrustManagers(), null);
        } catch (Exception error) {
            throw new ExceptionInInitializerError(error);
        }
    }

    private static Certificate certificate(String name) throws Exception {
        try (InputStream pem = Files.newInputStream(PKI.resolve(name))) {
            return CertificateFactory.getInstance("X.509").generateCertificate(pem);
        }
    }

    /** As Nimbus reads it, and OkHttp what Nimbus does not know. */
    private static Map<String, String> read(String field) throws Exception {
        BearerTokenError error = BearerTokenError.parse(field);
        Map<String, String> named = new HashMap<>(Map.of("scheme", error.getScheme().getValue()));
        if (error.getRealm() != null) named.put("realm", error.getRealm());
        if (error.getCode() != null) named.put("error", error.getCode());
        if (error.getScope() != null) named.put("scope", error.getScope().toString());
        var request = new Request.Builder().url("https://api.example.com/").build();
        var answer = new okhttp3.Response.Builder().request(request).protocol(Protocol.HTTP_1_1).code(401).message("")
            .header("www-authenticate", field).build();
        answer.challenges().get(0).authParams().forEach(named::putIfAbsent);
        return named;
    }

    /** The status, or how the client failed. */
    private static Object attempt(Callable<Object> call) {
        try {
            return call.call();
        } catch (Exception error) {
            return error.getClass().getSimpleName() + ": " + error.getMessage();
        }
    }

    private static List<Object> times(int count, Callable<Object> call) {
        List<Object> answers = new ArrayList<>();
        for (int i = 0; i < count; i++) answers.add(attempt(call));
        return answers;
    }

    private static Map<String, Object> http(Http client, String name) throws Exception {
        Callable<Object> honest = () -> client.send("GET", "/orders/7", with("TOKEN"), null).status();
        Callable<Object> small = () -> client.send("POST", "/orders", with(null), SMALL).status();
        switch (name) {
            case "honest":
                return Map.of("answers", times(1, honest));
            case "resumed":
                return Map.of("answers", times(3, () -> {
                    Answer answer = client.send("GET", "/mesh", with(null), null);
                    client.hangUp();
                    return answer.status();
                }));
            case "small":
                return Map.of("answers", times(20, small));
            case "large":
                return Map.of("answers", times(2, () -> client.send("POST", "/orders", with(null), LARGE).status()));
            case "kept": {
                List<Object> answers = times(3, small);
                answers.add(attempt(honest));
                return Map.of("answers", answers);
            }
            case "retry":
                client.retry();
                return Map.of("answers", times(2, () -> client.send("GET", "/limited", with("TOKEN"), null).status()));
            case "challenge": {
                List<Object> answers = new ArrayList<>();
                List<Object> challenges = new ArrayList<>();
                for (String token : new String[] {null, "WEAK_TOKEN"}) {
                    Answer answer = client.send("GET", "/orders/7", with(token), null);
                    answers.add(answer.status());
                    challenges.add(read(answer.challenge()));
                }
                return Map.of("answers", answers, "challenges", challenges);
            }
            case "stream": {
                Object refused = attempt(() -> client.send("GET", "/events", with(null), null).status());
                InputStream body = client.stream("/events", with("TOKEN", "x-upstream-events", "3"));
                List<Object> events = new ArrayList<>();
                BufferedReader lines = new BufferedReader(new InputStreamReader(body));
                while (events.size() < 3) {
                    String line = lines.readLine();
                    if (line.startsWith("data: ")) events.add(line);
                }
                return Map.of("answers", List.of(refused, 200), "events", events);
            }
            default:
                throw new IllegalArgumentException(name);
        }
    }

    /** Waits as long as it is told, for clients without a library that does. */
    private static Answer patient(Callable<Answer> call, Callable<String> wait) throws Exception {
        Answer answer = call.call();
        for (int i = 0; i < 3 && answer.status() == 429; i++) {
            TimeUnit.SECONDS.sleep(Long.parseLong(wait.call()));
            answer = call.call();
        }
        return answer;
    }

    private static final class Jdk implements Http {
        private final java.net.http.HttpClient.Version version;
        private java.net.http.HttpClient client;
        private String retryAfter;
        private boolean patient;

        Jdk(java.net.http.HttpClient.Version version) {
            this.version = version;
            hangUp();
        }

        private HttpRequest.Builder request(String path, Map<String, String> headers) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(URL + path)).timeout(patience);
            headers.forEach(request::header);
            return request;
        }

        private Answer once(String method, String path, Map<String, String> headers, byte[] body) throws Exception {
            var publisher =
                body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body);
            var answer = client.send(request(path, headers).method(method, publisher).build(), BodyHandlers.ofString());
            retryAfter = answer.headers().firstValue("retry-after").orElse(null);
            return new Answer(answer.statusCode(), answer.headers().firstValue("www-authenticate").orElse(null));
        }

        public Answer send(String method, String path, Map<String, String> headers, byte[] body) throws Exception {
            Callable<Answer> call = () -> once(method, path, headers, body);
            return patient ? patient(call, () -> retryAfter) : call.call();
        }

        /** Sessions belong to the context, connections to the client. */
        public void hangUp() {
            client = java.net.http.HttpClient.newBuilder().sslContext(tls).version(version).build();
        }

        public void retry() {
            patient = true;
        }

        public InputStream stream(String path, Map<String, String> headers) throws Exception {
            return client.send(request(path, headers).build(), BodyHandlers.ofInputStream()).body();
        }
    }

    private static final class Ok implements Http {
        private OkHttpClient client;

        Ok(List<Protocol> protocols) {
            client = new OkHttpClient.Builder().sslSocketFactory(tls.getSocketFactory(), trust).protocols(protocols)
                .callTimeout(patience).build();
        }

        private okhttp3.Response call(String method, String path, Map<String, String> headers, byte[] body)
            throws IOException {
            Request.Builder request = new Request.Builder().url(URL + path);
            headers.forEach(request::header);
            request.method(method, body == null ? null : RequestBody.create(body));
            return client.newCall(request.build()).execute();
        }

        public Answer send(String method, String path, Map<String, String> headers, byte[] body) throws IOException {
            try (okhttp3.Response answer = call(method, path, headers, body)) {
                answer.body().bytes();
                return new Answer(answer.code(), answer.header("www-authenticate"));
            }
        }

        public void hangUp() {
            client.connectionPool().evictAll();
        }

        /** By itself it tries again after 408 and 503 only. */
        public void retry() {
            client = client.newBuilder().addInterceptor(chain -> {
                okhttp3.Response answer = chain.proceed(chain.request());
                for (int i = 0; i < 3 && answer.code() == 429; i++) {
                    answer.close();
                    try {
                        TimeUnit.SECONDS.sleep(Long.parseLong(answer.header("retry-after")));
                    } catch (InterruptedException error) {
                        throw new IOException(error);
                    }
                    answer = chain.proceed(chain.request());
                }
                return answer;
            }).build();
        }

        public InputStream stream(String path, Map<String, String> headers) throws IOException {
            return call("GET", path, headers, null).body().byteStream();
        }
    }

    private static final class Hc5 implements Http {
        private final boolean expect;
        private PoolingHttpClientConnectionManager connections;
        private CloseableHttpClient client;

        Hc5(boolean expect) {
            this.expect = expect;
            connections = PoolingHttpClientConnectionManagerBuilder.create()
                .setTlsSocketStrategy(new DefaultClientTlsStrategy(tls)).build();
            client = built(0);
        }

        private CloseableHttpClient built(int retries) {
            RequestConfig config = RequestConfig.custom().setExpectContinueEnabled(expect)
                .setResponseTimeout(Timeout.of(patience)).build();
            // With a client certificate each request would take a connection of its own.
            return HttpClients.custom().setConnectionManager(connections).setDefaultRequestConfig(config)
                .disableConnectionState().setRetryStrategy(new DefaultHttpRequestRetryStrategy(retries, TimeValue.ofSeconds(1))).build();
        }

        private ClassicHttpRequest request(String method, String path, Map<String, String> headers, byte[] body) {
            ClassicRequestBuilder request = ClassicRequestBuilder.create(method).setUri(URL + path);
            headers.forEach(request::setHeader);
            if (body != null) request.setEntity(new ByteArrayEntity(body, null));
            return request.build();
        }

        public Answer send(String method, String path, Map<String, String> headers, byte[] body) throws IOException {
            return client.execute(request(method, path, headers, body), answer -> {
                EntityUtils.consume(answer.getEntity());
                var challenge = answer.getFirstHeader("www-authenticate");
                return new Answer(answer.getCode(), challenge == null ? null : challenge.getValue());
            });
        }

        public void hangUp() {
            connections.closeIdle(TimeValue.ZERO_MILLISECONDS);
        }

        public void retry() {
            client = built(3);
        }

        public InputStream stream(String path, Map<String, String> headers) throws IOException {
            HttpEntity entity = client.executeOpen(null, request("GET", path, headers, null), null).getEntity();
            return entity.getContent();
        }
    }

    private static final class Grpc {
        private static final MethodDescriptor.Marshaller<byte[]> BYTES = new MethodDescriptor.Marshaller<>() {
            public InputStream stream(byte[] message) {
                return new ByteArrayInputStream(message);
            }

            public byte[] parse(InputStream message) {
                try {
                    return message.readAllBytes();
                } catch (IOException error) {
                    throw new IllegalStateException(error);
                }
            }
        };

        private final boolean retrying;
        private ManagedChannel channel;

        Grpc(String name) throws IOException {
            retrying = name.equals("retry");
            channel = dial();
        }

        private ManagedChannel dial() throws IOException {
            var credentials = TlsChannelCredentials.newBuilder().trustManager(PKI.resolve("ca.pem").toFile())
                .keyManager(PKI.resolve("alice.pem").toFile(), PKI.resolve("alice.key").toFile()).build();
            URI to = URI.create(URL);
            var builder = NettyChannelBuilder.forAddress(to.getHost(), to.getPort(), credentials);
            if (retrying) {
                Map<String, Object> policy = Map.of("maxAttempts", 4.0, "initialBackoff", "0.1s", "maxBackoff", "0.2s",
                    "backoffMultiplier", 2.0, "retryableStatusCodes", List.of("RESOURCE_EXHAUSTED"));
                builder.defaultServiceConfig(Map.of("methodConfig",
                    List.of(Map.of("name", List.of(Map.of()), "retryPolicy", policy)))).enableRetry();
            }
            return builder.build();
        }

        private static MethodDescriptor<byte[], byte[]> method(String name, MethodDescriptor.MethodType type) {
            return MethodDescriptor.newBuilder(BYTES, BYTES).setType(type).setFullMethodName("orders.Orders/" + name)
                .build();
        }

        private ClientCall<byte[], byte[]> call(MethodDescriptor<byte[], byte[]> method, Map<String, String> headers) {
            Metadata metadata = new Metadata();
            headers.forEach((name, value) ->
                metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value));
            var attached = io.grpc.ClientInterceptors.intercept(channel,
                MetadataUtils.newAttachHeadersInterceptor(metadata));
            return attached.newCall(method, CallOptions.DEFAULT.withDeadlineAfter(20, TimeUnit.SECONDS));
        }

        private byte[] unary(String method, Map<String, String> headers, byte[] message) {
            var type = MethodDescriptor.MethodType.UNARY;
            return ClientCalls.blockingUnaryCall(call(method(method, type), headers), message);
        }

        private Object code(String method, Map<String, String> headers, byte[] message) {
            try {
                unary(method, headers, message);
                return 0;
            } catch (StatusRuntimeException error) {
                return code(error);
            }
        }

        private static Object code(StatusRuntimeException error) {
            Status status = error.getStatus();
            return switch (status.getCode()) {
                case UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN -> status.toString();
                default -> status.getCode().value();
            };
        }

        Map<String, Object> run(String name) throws Exception {
            byte[] nothing = {};
            Map<String, String> ok = with("TOKEN", "x-upstream-grpc-trailers", "0");
            switch (name) {
                case "honest":
                    return Map.of("answers", times(1, () -> code("Get", ok, nothing)));
                case "resumed":
                    return Map.of("answers", times(3, () -> {
                        Object answer = code("Peer", with(null, "x-upstream-grpc-trailers", "0"), nothing);
                        channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
                        channel = dial();
                        return answer;
                    }));
                case "small":
                    return Map.of("answers", times(20, () -> code("Get", with(null), SMALL)));
                case "large":
                    return Map.of("answers", times(2, () -> code("Get", with(null), LARGE)));
                case "kept": {
                    List<Object> answers = times(3, () -> code("Get", with(null), SMALL));
                    answers.add(code("Get", ok, nothing));
                    return Map.of("answers", answers);
                }
                case "retry":
                    return Map.of("answers", times(2, () -> code("Limited", ok, nothing)));
                case "challenge": {
                    List<Object> answers = new ArrayList<>();
                    List<Object> challenges = new ArrayList<>();
                    for (String token : new String[] {null, "WEAK_TOKEN"}) {
                        try {
                            unary("Get", with(token), nothing);
                        } catch (StatusRuntimeException error) {
                            var field = Metadata.Key.of("www-authenticate", Metadata.ASCII_STRING_MARSHALLER);
                            answers.add(code(error));
                            challenges.add(read(error.getTrailers().get(field)));
                        }
                    }
                    return Map.of("answers", answers, "challenges", challenges);
                }
                case "stream": {
                    List<Object> answers = new ArrayList<>();
                    List<Object> events = new ArrayList<>();
                    var type = MethodDescriptor.MethodType.SERVER_STREAMING;
                    for (var headers : List.of(with(null), with("TOKEN", "x-upstream-grpc-trailers", "never"))) {
                        try {
                            var messages =
                                ClientCalls.blockingServerStreamingCall(call(method("Get", type), headers), nothing);
                            events.add(new String(messages.next()));
                            answers.add(0);
                        } catch (StatusRuntimeException error) {
                            answers.add(code(error));
                        }
                    }
                    return Map.of("answers", answers, "events", events);
                }
                default:
                    throw new IllegalArgumentException(name);
            }
        }
    }

    private static Map<String, Object> cell(String client, String name) throws Exception {
        return switch (client) {
            case "JDK HttpClient" -> http(new Jdk(java.net.http.HttpClient.Version.HTTP_2), name);
            case "JDK HttpClient HTTP/1.1" -> http(new Jdk(java.net.http.HttpClient.Version.HTTP_1_1), name);
            case "OkHttp" -> http(new Ok(List.of(Protocol.HTTP_2, Protocol.HTTP_1_1)), name);
            case "OkHttp HTTP/1.1" -> http(new Ok(List.of(Protocol.HTTP_1_1)), name);
            case "Apache HC5" -> http(new Hc5(false), name);
            case "Apache HC5 with Expect" -> http(new Hc5(true), name);
            case "grpc-java" -> new Grpc(name).run(name);
            default -> throw new IllegalArgumentException(client);
        };
    }

    private static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            List<String> members = new ArrayList<>();
            map.forEach((name, member) -> members.add(json(name) + ":" + json(member)));
            return "{" + String.join(",", members) + "}";
        }
        if (value instanceof List<?> list) return "[" + String.join(",", list.stream().map(Client::json).toList()) + "]";
        if (value instanceof Number) return value.toString();
        return "\"" + String.valueOf(value).replaceAll("[\\\\\"]", "\\\\$0").replaceAll("\\s", " ") + "\"";
    }

    public static void main(String[] arguments) throws Exception {
        // The JDK's waits in vain for the answer to a large upload.
        if (arguments[1].equals("large")) patience = Duration.ofSeconds(5);
        System.out.println(json(cell(arguments[0], arguments[1])));
        // Streams that never end are left where they are.
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
