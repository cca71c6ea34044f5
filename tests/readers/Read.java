import java.io.InputStream;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Properties;
import java.util.stream.Collectors;

/** Reads files with java.util.Properties: Read READER FILE... */
public class Read {
    public static void main(String[] arguments) throws Exception {
        for (int at = 1; at < arguments.length; at++) {
            Path path = Path.of(arguments[at]);
            System.out.println("{\"file\":\"" + path.getFileName() + "\"," + answer(arguments[0], path) + "}");
        }
    }

    private static String answer(String reader, Path path) throws Exception {
        Properties properties = new Properties();
        try (InputStream bytes = Files.newInputStream(path);
                Reader characters = Files.newBufferedReader(path, StandardCharsets.UTF_8)) {
            if (reader.equals("Properties (bytes)")) {
                properties.load(bytes);
            } else {
                properties.load(characters);
            }
        } catch (IllegalArgumentException error) {
            return "\"error\":\"" + error.getClass().getSimpleName() + "\"";
        }
        return properties.entrySet().stream()
                .map(pair -> "\"" + hex(pair.getKey()) + "\":\"" + hex(pair.getValue()) + "\"")
                .collect(Collectors.joining(",", "\"values\":{", "}"));
    }

    private static String hex(Object text) {
        return HexFormat.of().formatHex(((String) text).getBytes(StandardCharsets.UTF_8));
    }
}
